"""The tokens that every kind of tokenizer has, at the same ids."""

PAD_ID, UNKNOWN_ID, START_ID, END_ID = 0, 1, 2, 3
SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")


def check_id(id, size):
    if not 0 <= id < size:
        raise ValueError(f"`id` must be in [0, {size}), the ids of the vocabulary. Received: {id}")

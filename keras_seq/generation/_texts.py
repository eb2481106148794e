"""What stands between texts and a model that reads their ids: checks, and few shapes of batches."""

from keras_seq.layers._text import check_encodable


def check_texts(texts, may_be_empty=False):
    """Raise unless `texts` is a list of strings, none of them empty.

    Raises:
        TypeError, ValueError: saying which text is wrong.
    """
    if not isinstance(texts, (list, tuple)):
        raise TypeError(f"`texts` must be a list of strings. Received: {type(texts).__name__}")
    if not texts:
        raise ValueError("`texts` must hold at least one string. Received an empty list.")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"`texts` must hold strings. Received at {i}: {text!r}")
        if not may_be_empty and not text.strip():
            raise ValueError(f"`texts` must hold no empty string. Received at {i}: {text!r}")
        check_encodable("texts", text)


def check_vocabulary(name, tokenizer, limit):
    """Raise if a tokenizer has more ids than the model knows (`None`: any)."""
    size = tokenizer.vocabulary_size()
    if limit is not None and size > limit:
        raise ValueError(
            f"`{name}` has {size} ids and the model knows {limit}. Use the tokenizer that the "
            "model was trained with."
        )


def padded_rows(rows, batch_size):
    """Rows to call a model with: whole batches and powers of two, so that few shapes are compiled.

    Args:
        rows: int, at least 1 and at most `batch_size`.
    """
    return min(batch_size, 1 << (rows - 1).bit_length())

"""Checks of the arguments that tasks share."""

import itertools

from keras_seq.data.tokenizers import END_ID, PAD_ID, START_ID
from keras_seq.data.tokenizers._kinds import check_kind


def check_positive(**numbers):
    """Refuses what is no positive int; `None` is let through.

    Raises:
        TypeError: for another type.
        ValueError: for numbers below one.
    """
    for argument, value in numbers.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"`{argument}` must be a positive int. Received: {value!r}")
        if value <= 0:
            raise ValueError(f"`{argument}` must be a positive int. Received: {value}")


def check_seed(seed):
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"`seed` must be an int. Received: {seed!r}")


def check_budget(max_tokens, longest):
    """Refuses a token budget that does not hold the longest row.

    Args:
        max_tokens: as of the tasks.
        longest: greatest length of a row.
    """
    if max_tokens is not None and longest is not None and longest > max_tokens:
        raise ValueError(
            f"`max_tokens` must hold the longest example, which has {longest:,} tokens. Received: "
            f"{max_tokens:,}. Raise it, or limit the length."
        )


def checked_buckets(buckets):
    """List of rising lengths; empty of `None`."""
    if buckets is None:
        return []
    buckets = list(buckets)
    for bucket in buckets:
        if bucket is None:
            raise TypeError("`length_buckets` must hold positive ints. Received: None")
        check_positive(length_buckets=bucket)
    if not buckets or any(b <= a for a, b in itertools.pairwise(buckets)):
        raise ValueError(
            f"`length_buckets` must be rising lengths such as (16, 32, 64). Received: {buckets}"
        )
    return buckets


def check_one_of(argument, value, choices):
    if value not in choices:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(map(repr, choices))}. Received: {value!r}"
        )


def check_errors(errors):
    if errors not in ("raise", "skip"):
        raise ValueError(f"`errors` must be 'raise' or 'skip'. Received: {errors!r}")


def check_kind_or_tokenizer(argument, tokenizer):
    """Refuses what is neither a kind of `train_tokenizer` nor a tokenizer without an end id."""
    if tokenizer is None or isinstance(tokenizer, str):
        check_kind(argument, tokenizer)
    else:
        check_tokenizer(argument, tokenizer, ends=False)


def check_tokenizer(argument, tokenizer, ends):
    """Refuses what is no tokenizer of `train_tokenizer` with the right special ids.

    Args:
        argument: its name, for messages.
        tokenizer: what the user passed, not a name.
        ends: whether `tokenizer(text)` must end with the end id.
    """
    if tokenizer is None:
        return
    try:
        special = [tokenizer.token_to_id(token) for token in ("<pad>", "<s>", "</s>")]
    except AttributeError:
        raise TypeError(
            f"`{argument}` must be a tokenizer of keras_seq.data.train_tokenizer. Received: "
            f"{type(tokenizer).__name__}"
        ) from None
    if special != [PAD_ID, START_ID, END_ID]:
        raise ValueError(
            f"`{argument}` must have the ids {PAD_ID}, {START_ID}, {END_ID} for <pad>, <s>, </s>. "
            f"Received: {special}. Make it with keras_seq.data.train_tokenizer."
        )
    if getattr(tokenizer, "sequence_length", None) is not None:
        raise ValueError(
            f"`{argument}` must have sequence_length=None, as padding comes later. Received: "
            f"{tokenizer.sequence_length}"
        )
    ends_and_starts = [bool(getattr(tokenizer, name, False)) for name in ("add_eos", "add_bos")]
    if ends_and_starts != [ends, False]:
        raise ValueError(
            f"`{argument}` must be made with add_end={ends} and no start id. Received: "
            f"add_eos={ends_and_starts[0]}, add_bos={ends_and_starts[1]}"
        )

"""Rows of token ids, checked and padded, in NumPy, before any computation."""

import numpy as np


def check_ids(name, ids, limit):
    """Raise unless `ids` are ints in [0, limit); where that is `None`, ints that need be no ids."""
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(f"`{name}` must hold int token ids. Received dtype: {ids.dtype}")
    if ids.size == 0:
        raise ValueError(f"`{name}` is empty. Received shape: {ids.shape}")
    if limit is not None and (ids.min() < 0 or ids.max() >= limit):
        bad = sorted({int(i) for i in ids.ravel() if not 0 <= i < limit})
        raise ValueError(
            f"`{name}` must hold token ids in [0, {limit}), the model's vocabulary. "
            f"Received: {bad[:5]}"
        )


def check_token(name, token, limit):
    """Raise unless `token` of a Generator is an int in [0, limit), or `None`."""
    if token is None:
        return
    if isinstance(token, bool) or not isinstance(token, (int, np.integer)):
        raise ValueError(f"`{name}` of Generator must be an int id. Received: {token!r}")
    if not 0 <= token < limit:
        raise ValueError(
            f"`{name}` of Generator must be in [0, {limit}), the model's vocabulary. "
            f"Received: {token}"
        )


def padded_prompt(prompt, pad_token, limit, name="prompt", may_be_empty=False):
    """`(prompt, lengths)` as (B, P) and (B,) int32 arrays, checked.

    In lists of lists, of one length or not, every id is a token, a pad token too, and each row has
    the length of its list. A row of an array goes up to its padding.

    Args:
        prompt: (B, P) ids padded on the right, or a list of lists of ids.
        pad_token: the id that pads.
        limit: V of the model, or `None`.
        name: of the argument, for errors.
        may_be_empty: whether some rows (not all) may have no ids.

    Raises:
        TypeError: if the ids are not ints.
        ValueError: if a row is empty, padded on the left, or has ids out of range.
    """
    prompt, lengths = _lists_of_ragged(prompt), None
    if isinstance(prompt, (list, tuple)):
        prompt, lengths = padded_lists(name, prompt, pad_token)
    prompt = np.asarray(prompt)
    if prompt.ndim != 2 or prompt.size == 0:
        raise ValueError(
            f"`{name}` must be (B, P) token ids with at least one id a row. "
            f"Received shape: {prompt.shape}"
        )
    if lengths is None:
        filled = prompt != pad_token
    else:
        filled = np.arange(prompt.shape[1]) < lengths[:, None]
    check_ids(name, np.where(filled, prompt, 0), limit)  # what pads need not be among them
    lengths = filled.sum(axis=1)
    if (lengths == 0).any() and not may_be_empty:
        raise ValueError(
            f"`{name}` must have at least one id a row. Row {int(np.argmin(lengths))} is empty."
        )
    if not (filled[:, :-1] >= filled[:, 1:]).all():
        row = int(np.argmin((filled[:, :-1] >= filled[:, 1:]).all(axis=1)))
        raise ValueError(
            f"`{name}` must be padded on the right: in row {row} the pad token {pad_token} comes "
            "before other ids. Where it is a token like others, pass a list of lists of ids."
        )
    return prompt.astype("int32"), lengths.astype("int32")


def padded_prefix(prefix, batch, pad_token, vocabulary_size, end_tokens, max_length):
    """`(prefix, lengths)` as (B, F) and (B,) int32 arrays, checked.

    Args:
        prefix: list of ids for every row, or a row of ids each, as `padded_prompt` takes them.
        batch: B.
        pad_token: the id that pads.
        vocabulary_size: V of what the model writes.
        end_tokens: ids that must not stand in it.
        max_length: the largest number of new tokens, the prefix among them.

    Raises:
        TypeError, ValueError: as `padded_prompt`; ValueError if rows, length or end tokens are
            wrong.
    """
    rows = list(prefix) if np.iterable(prefix) else [prefix]
    if rows and all(np.ndim(row) == 0 for row in rows):
        prefix = [rows] * batch
    prefix, lengths = padded_prompt(prefix, pad_token, vocabulary_size, "prefix", True)
    if len(prefix) != batch:
        raise ValueError(
            f"`prefix` has {len(prefix)} rows and the batch has {batch}; pass one list of ids for "
            "all rows, or a row each."
        )
    if lengths.max() > max_length:
        raise ValueError(
            f"`prefix` counts as generated, and its {lengths.max()} tokens are more than "
            f"max_length={max_length}."
        )
    ends = np.isin(prefix, end_tokens) & (np.arange(prefix.shape[1]) < lengths[:, None])
    if ends.any():
        raise ValueError(
            f"`prefix` must not hold an end token, for nothing would follow it ({end_tokens}). "
            f"Received: {prefix[ends.any(axis=1)][0].tolist()}"
        )
    return prefix, lengths


def padded_targets(targets, pad_token, vocabulary_size, end_tokens):
    """`(targets, lengths)` of sequences to score, as (B, N) and (B,) int32 arrays, checked.

    A row goes up to its first end token; else a list has its own length, and a row of an array
    goes up to its last token that is not padding. A pad token inside a row is a token.

    Raises:
        TypeError, ValueError: if the ids are none of the model's, or the shape is wrong.
    """
    targets = _lists_of_ragged(targets)
    if isinstance(targets, (list, tuple)):
        targets, lengths = padded_lists("targets", targets, pad_token)
    else:
        targets = np.asarray(targets)
        if targets.ndim != 2:
            raise ValueError(f"`targets` must be (B, N) token ids. Received shape: {targets.shape}")
        # Where rows end with the pad token, the first one after a row is its end.
        lengths = lengths_to_last((targets != pad_token) | np.isin(targets, end_tokens))
    filled = np.arange(targets.shape[1]) < lengths[:, None]
    check_ids("targets", np.where(filled, targets, 0), vocabulary_size)
    ended = np.isin(targets, end_tokens) & filled
    lengths = np.where(ended.any(axis=1), ended.argmax(axis=1) + 1, lengths)
    return targets.astype("int32"), lengths.astype("int32")


def joined_rows(first, first_lengths, second, second_lengths, width, pad_token):
    """(B, width) rows: the ids of `first`, right after them those of `second`, then padding."""
    joined = np.full((len(first), width), pad_token, "int32")
    lengths = zip(first_lengths, second_lengths, strict=True)
    for row, a, b, (n, m) in zip(joined, first, second, lengths, strict=True):
        row[:n] = a[:n]
        row[n : n + m] = b[:m]
    return joined


def lengths_to_last(mask):
    """(B,) ints: how long each row of (B, N) booleans is up to its last `True`."""
    return (mask * np.arange(1, mask.shape[1] + 1)).max(axis=1, initial=0)


def padded_lists(name, rows, pad_token):
    """`(array, lengths)` of a list of lists of ids."""
    rows = [np.asarray(row) for row in rows]
    if any(row.ndim != 1 for row in rows):
        received = [row.tolist() for row in rows]
        raise ValueError(
            f"`{name}` must be a (B, P) array of token ids or a list of lists of ids, one list a "
            f"row. Received: {received}"
        )
    lengths = np.array([len(row) for row in rows], "int32")
    filled = [row for row in rows if len(row)]
    dtype = np.result_type(*filled) if filled else np.int32  # an empty list counts as float
    return padded_to(lengths.max(initial=0), rows, pad_token, dtype), lengths


def padded_to(width, rows, pad_token, dtype="int32"):
    """(B, width) array of B rows of at most `width` ids, padded on the right."""
    padded = np.full((len(rows), width), pad_token, dtype)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded


def _lists_of_ragged(rows):
    """A ragged tensor of TensorFlow, such as tokenizers give, as lists; anything else as it is."""
    return rows.to_list() if hasattr(rows, "row_splits") else rows

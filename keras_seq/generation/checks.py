"""Checks of token ids and prompts, in NumPy, before any computation."""

import numpy as np


def check_ids(name, ids, limit):
    """Raise unless `ids` are ints in [0, limit); `limit` may be `None` where it is not known."""
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(f"`{name}` must hold int token ids. Received dtype: {ids.dtype}")
    if ids.size == 0:
        raise ValueError(f"`{name}` is empty. Received shape: {ids.shape}")
    if ids.min() < 0 or (limit is not None and ids.max() >= limit):
        bad = sorted({int(i) for i in ids.ravel() if i < 0 or (limit is not None and i >= limit)})
        raise ValueError(
            f"`{name}` must hold token ids in [0, {limit if limit is not None else 'V'}), the "
            f"model's vocabulary. Received: {bad[:5]}"
        )


def padded_prompt(prompt, pad_token, limit):
    """`(prompt, lengths)` as (B, P) and (B,) int32 arrays, checked.

    Args:
        prompt: (B, P) ids padded on the right, or a list of lists of ids.
        pad_token: the id that pads.
        limit: V of the model, or `None`.

    Raises:
        TypeError: if the ids are not ints.
        ValueError: if a row is empty, padded on the left, or has ids out of range.
    """
    if isinstance(prompt, (list, tuple)):
        rows = [np.asarray(row) for row in prompt]
        if any(row.ndim != 1 for row in rows):
            raise ValueError(
                "`prompt` must be (B, P) token ids or a list of lists of ids, one list a row. "
                f"Received: {prompt!r}"
            )
        width = max((len(row) for row in rows), default=0)
        filled = [row for row in rows if len(row)]
        dtype = np.result_type(*filled) if filled else np.int32  # an empty list counts as float
        padded = np.full((len(rows), width), pad_token, dtype)
        for row, values in zip(padded, rows, strict=True):
            row[: len(values)] = values
        prompt = padded
    prompt = np.asarray(prompt)
    if prompt.ndim != 2 or prompt.size == 0:
        raise ValueError(
            f"`prompt` must be (B, P) token ids with at least one id a row. "
            f"Received shape: {prompt.shape}"
        )
    check_ids("prompt", prompt, limit)
    filled = prompt != pad_token
    lengths = filled.sum(axis=1)
    if (lengths == 0).any():
        raise ValueError(
            f"`prompt` must have at least one id a row. Row {int(np.argmin(lengths))} is empty."
        )
    if not (filled[:, :-1] >= filled[:, 1:]).all():
        row = int(np.argmin((filled[:, :-1] >= filled[:, 1:]).all(axis=1)))
        raise ValueError(
            f"`prompt` must be padded on the right: in row {row} the pad token {pad_token} comes "
            "before other ids."
        )
    return prompt.astype("int32"), lengths.astype("int32")

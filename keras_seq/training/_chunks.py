"""`chunks`: long texts cut into batches that follow each other along each row."""

import numpy as np

from keras_seq.layers._arguments import check_positive


def chunks(tokens_or_documents, batch_size, steps):
    r"""Cut token ids into chunks for `TruncatedBPTT`: inputs, resets and next tokens.

    The text is laid out in B long rows, and the rows are cut into chunks of T steps:

        row 0:  x_1 ... x_T | x_T+1 ... x_2T | ...      # | is where one batch ends
        row 1:  x_N+1 ...   | ...                       # N: steps in a row, a multiple of T

    so that row r of one batch goes on in row r of the next (the batches of Zaremba et al. 2014).
    The target of each step is the next token of the same document. A document's last token is
    therefore a target only, and no target lies in another document. `reset` is True where a
    document begins, and at the first step of every row, because what comes before it, in the same
    row at the end of the last epoch, is other text.

    Up to `batch_size * steps` tokens at the end do not fill a chunk in every row and are left out.

    Args:
        tokens_or_documents: token ids as one array (N,) of integers, or a list of such arrays, one
            for each document, with two tokens or more.
        batch_size: B, rows.
        steps: T, steps of a chunk.

    Returns:
        `tf.data.Dataset` of `({"tokens": (B, T) int32, "reset": (B, T) boolean}, targets)` with
        targets (B, T) int32. Do not shuffle it: the order of the batches is the order of the text.

    Raises:
        TypeError: if the ids are not integers.
        ValueError: if a document is not one-dimensional or has less than two tokens, a size is
            below 1, or the text is too short for one batch.

    Example:

    ```python
    import numpy as np
    from keras_seq.training import chunks

    dataset = chunks([np.arange(10), np.arange(20, 27)], batch_size=2, steps=3)
    for inputs, targets in dataset.take(1):
        print(inputs["tokens"].numpy())  # [[0 1 2] [6 7 8]]
        print(inputs["reset"].numpy())   # [[ True False False] [ True False False]]
        print(targets.numpy())           # [[1 2 3] [7 8 9]]
    ```
    """
    check_positive("chunks", batch_size=batch_size, steps=steps)
    documents = _documents(tokens_or_documents)
    tokens = np.concatenate([ids[:-1] for ids in documents])
    targets = np.concatenate([ids[1:] for ids in documents])
    reset = np.zeros(len(tokens), bool)
    reset[np.cumsum([0, *(len(ids) - 1 for ids in documents[:-1])])] = True

    batches = len(tokens) // (batch_size * steps)
    if batches == 0:
        raise ValueError(
            f"The text of `chunks` must fill one batch: batch_size * steps = {batch_size} * {steps}"
            f" = {batch_size * steps} steps. Received {len(tokens)} steps (a document's last token "
            "is a target only). Choose fewer rows or steps, or give more text."
        )
    used = batches * batch_size * steps
    rows = [a[:used].reshape(batch_size, batches * steps) for a in (tokens, reset, targets)]
    rows[1] = rows[1].copy()
    rows[1][:, 0] = True
    tokens, reset, targets = (
        a.reshape(batch_size, batches, steps).transpose(1, 0, 2) for a in rows
    )

    import tensorflow as tf  # here, because `keras_seq.training` works without it

    return tf.data.Dataset.from_tensor_slices(({"tokens": tokens, "reset": reset}, targets))


def _documents(given):
    """List of int32 arrays (N,), checked."""
    is_list = isinstance(given, (list, tuple)) and not all(np.ndim(item) == 0 for item in given)
    documents = [np.asarray(ids) for ids in given] if is_list else [np.asarray(given)]
    for i, ids in enumerate(documents):
        who = f"Document {i} of `chunks`" if is_list else "`tokens_or_documents` of `chunks`"
        if ids.ndim != 1 or len(ids) < 2:
            raise ValueError(
                f"{who} must be one array (N,) of at least two token ids, because a step needs the "
                f"token after it. Received shape: {ids.shape}. "
                + ("Leave it out." if is_list else "Give a list of arrays for several documents.")
            )
        if ids.dtype.kind not in "iu":
            raise TypeError(
                f"{who} must hold integers. Received dtype: {ids.dtype}. Tokenize the text first."
            )
    return [ids.astype("int32") for ids in documents]

"""Arrays on which an exported model is compared: the user's, checked, or random ones."""

import keras
import numpy as np

from keras_seq.generation._token_ids import check_ids
from keras_seq.stepping._embeddings import padding_id, positions, vocabulary_size

LENGTHS = (13, 5)  # of the sequences that are compared where the time is open
LAST_TWO, ALL_BUT_ONE = slice(-2, None), slice(1, None)  # ids of a row that are padding


def model_shapes(call, time=None, batch_size=None):
    """Dict from input name to shape of the exported function.

    Args:
        call: `ModelCall`.
        time: T in place of open dimensions, or `None` to leave them open.
        batch_size: B where the model does not fix it, or `None` to leave it open.

    Raises:
        ValueError: if the model fixes another batch size.
    """
    shapes = {}
    for name, tensor in call.inputs.items():
        given = tensor.shape[0]
        if None not in (given, batch_size) and given != batch_size:
            raise ValueError(
                f"`batch_size` must be that of the model's input `{name}`, {given}. "
                f"Received: {batch_size}"
            )
        shapes[name] = (given or batch_size, *(n or time for n in tensor.shape[1:]))
    return shapes


def largest_length(call, shapes):
    """How many time steps the model has positions for, or `None` where it takes any."""
    known = [positions(call.model, name) for name in shapes]
    return min((n for n in known if n is not None), default=None)


def has_ids(call, shapes):
    """Whether an input holds rows of ids, in which zeros may be padding."""
    return any(
        len(shape) == 2 and keras.backend.is_int_dtype(call.inputs[name].dtype)
        for name, shape in shapes.items()
    )


def random_arrays(call, shapes, seed, length, padding=None):
    """Dict of random arrays; where the batch is open, `seed` + 1 rows.

    Args:
        call: `ModelCall`.
        shapes: dict from input name to shape.
        seed: int.
        length: T in place of open dimensions.
        padding: slice of the last row of ids that is padding, if the row has more than two.
    """
    rng, arrays = np.random.default_rng(seed), {}
    if length is not None:
        length = min(length, largest_length(call, shapes) or length)
    for name, shape in shapes.items():
        rows = seed + 1 if shape[0] is None else shape[0]
        shape = [rows, *(length if n is None else n for n in shape[1:])]
        dtype = call.inputs[name].dtype
        if keras.backend.is_int_dtype(dtype):
            limit = vocabulary_size(call.model, name) or 2
            arrays[name] = rng.integers(1 if limit > 1 else 0, limit, size=shape).astype(dtype)
            if padding is not None and len(shape) == 2 and shape[1] > 2:
                arrays[name][-1, padding] = padding_id(call.model, name) or 0
        elif dtype == "bool":  # masks and resets
            arrays[name] = rng.random(size=shape) < 0.5
        else:
            arrays[name] = rng.normal(size=shape).astype(dtype)
    return arrays


def checked_arrays(call, shapes, inputs, whole_chunks=False):
    """Dict of NumPy arrays that fit the shapes.

    Args:
        call: `ModelCall`.
        shapes: dict from input name to shape.
        inputs: dict by name, or one array where the model has one input.
        whole_chunks: whether axis 1 may hold several times its length.

    Raises:
        ValueError: if an input is missing, unknown, or does not fit.
    """
    if not isinstance(inputs, dict):
        inputs = {call.names[0]: inputs} if len(call.names) == 1 else {}
    if set(inputs) != set(call.names):
        raise ValueError(
            f"`inputs` must hold the model's inputs {call.names} by name. "
            f"Received: {sorted(inputs)}"
        )
    arrays = {}
    for name, shape in shapes.items():
        array = np.asarray(keras.ops.convert_to_numpy(inputs[name]))
        fits = array.ndim == len(shape) and len(array)
        chunks = whole_chunks and shape[1] and fits and array.shape[1] % shape[1] == 0
        for axis, n in enumerate(shape[1:] if fits else (), 1):
            fits = fits and (n in (None, array.shape[axis]) or (axis == 1 and chunks))
        if not fits or (shape[0] and len(array) % shape[0]):
            raise ValueError(
                f"`inputs`: `{name}` must fit the exported shape {shape}, in whole batches and "
                f"chunks. Received: {array.shape}"
            )
        if keras.backend.is_int_dtype(call.inputs[name].dtype):
            check_ids(name, array, vocabulary_size(call.model, name))
        arrays[name] = array.astype(call.inputs[name].dtype)
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"`inputs` must have equal rows. Received: {counts}")
    return arrays


def split_rows(arrays, shapes):
    """List of dicts of arrays, as many rows each as the exported function takes."""
    count = len(next(iter(arrays.values())))
    size = next(iter(shapes.values()))[0] or count
    return [{n: a[i : i + size] for n, a in arrays.items()} for i in range(0, count, size)]

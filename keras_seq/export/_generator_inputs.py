"""Contexts and prompts on which an exported generator is compared: the user's, or random ones."""

import keras
import numpy as np

from keras_seq.export._model_inputs import LENGTHS
from keras_seq.generation._token_ids import check_ids, padded_prompt
from keras_seq.stepping._embeddings import positions, vocabulary_size


def comparison_inputs(generator, shapes, prompt_length, inputs, prompt, count=64):
    """Checked or random arrays to compare an artifact on: `(inputs, prompt)`."""
    rng = np.random.default_rng(0)
    names = generator.stepper.context_inputs
    if prompt is not None:
        prompt, _ = padded_prompt(prompt, generator.pad_token, None)
        count = len(prompt)
    if inputs is None:
        inputs = {name: _random_rows(generator, name, shapes[name], count, rng) for name in names}
    else:
        inputs = generator.stepper.named_context(inputs)
        inputs = {name: _checked(generator, name, inputs[name], shapes[name]) for name in names}
    counts = {name: len(value) for name, value in inputs.items()}
    if prompt is not None:
        counts["prompt"] = count
    if len(set(counts.values())) > 1:
        raise ValueError(f"What is compared on must have equal rows. Received: {counts}")
    count = next(iter(counts.values()), count)
    if prompt_length is None:
        return inputs, None
    shape = (None, prompt_length)
    if prompt is None:
        return inputs, _random_rows(generator, generator.stepper.target, shape, count, rng)
    return inputs, _checked(generator, generator.stepper.target, prompt, shape)


def open_shapes(generator):
    """Dict from context input name to the model's own shape, the batch open."""
    inputs = generator.stepper.graph.inputs
    return {name: (None, *inputs[name].shape[1:]) for name in generator.stepper.context_inputs}


def widths(generator, inputs):
    """As `open_shapes`, where open dimensions are those of `inputs`, or of random ones."""
    given = {} if inputs is None else generator.stepper.named_context(inputs)
    shapes = {}
    for name, shape in open_shapes(generator).items():
        own = (LENGTHS[0],) * len(shape) if name not in given else np.shape(given[name])
        if name not in given:
            own = [min(n, positions(generator.model, name) or n) for n in own]
        shapes[name] = (None, *(n or w for n, w in zip(shape[1:], own[1:], strict=True)))
    return shapes


def _random_rows(generator, name, shape, count, rng):
    symbolic = generator.stepper.graph.inputs[name]
    shape = (count, *shape[1:])
    if not np.issubdtype(np.dtype(symbolic.dtype), np.integer):
        return rng.normal(size=shape).astype(symbolic.dtype)
    limit = vocabulary_size(generator.model, name) or generator.vocabulary_size
    ids = rng.integers(0, limit, size=shape)
    if len(shape) == 2:  # rows of every length, or spread up to the largest, padded on the right
        padding, width = _padding(generator, name), shape[1]
        ids[ids == padding] = (padding + 1) % limit
        if name != generator.stepper.target:  # nothing is a source that is its end
            ids[:, 0] = _other_than(ids[:, 0], {padding, *generator.end_tokens}, limit)
        order = rng.permutation(count)
        spread = order % width if count >= width else order * (width - 1) // max(1, count - 1)
        lengths = 1 + spread
        ids = np.where(np.arange(shape[1]) < lengths[:, None], ids, padding)
    return ids.astype(symbolic.dtype)


def _other_than(ids, excluded, limit):
    """The ids, in place of excluded ones the first that is not."""
    allowed = next((i for i in range(limit) if i not in excluded), None)
    return ids if allowed is None else np.where(np.isin(ids, list(excluded)), allowed, ids)


def _padding(generator, name):
    """What fills rows: `pad_token` those of the target, what the model masks those of a context."""
    target = generator.stepper.target
    return generator.pad_token if name == target else generator.source_padding(name)


def _checked(generator, name, value, shape):
    """An array for the input `name`, padded to `shape` but for its rows."""
    value = np.asarray(keras.ops.convert_to_numpy(value))
    dtype = np.dtype(generator.stepper.graph.inputs[name].dtype)
    if value.ndim != len(shape):
        raise ValueError(f"`{name}` must have {len(shape)} dimensions. Received: {value.shape}")
    if np.issubdtype(dtype, np.integer):
        check_ids(name, value, vocabulary_size(generator.model, name))
    missing = [d - n for d, n in zip(shape[1:], value.shape[1:], strict=True)]
    if min(missing, default=0) < 0:
        raise ValueError(
            f"`{name}` must fit the exported shape {tuple(shape[1:])}. "
            f"Received: {value.shape[1:]}. Export with a larger length, or compare on shorter "
            "inputs."
        )
    widths = [(0, 0), *((0, m) for m in missing)]
    return np.pad(value, widths, constant_values=_padding(generator, name)).astype(dtype)

"""The context inputs of a call, checked and padded."""

import numpy as np
from keras import ops

from keras_seq.generation._lengths import check_positions
from keras_seq.generation._padding import padded_width
from keras_seq.generation._token_ids import check_ids, padded_lists
from keras_seq.stepping._embeddings import vocabulary_size


def checked_inputs(generator, inputs):
    """The context inputs as a dict of NumPy arrays of the model's dtypes.

    Args:
        generator: the `Generator`.
        inputs: see `Generator.generate`.

    Raises:
        TypeError, ValueError: if one is missing, unknown, of another shape than the model's or
            another batch size than the others, too long, or holds ids that the model does not know.
    """
    stepper = generator.stepper
    names = stepper.context_inputs
    if inputs is None and not names:
        return {}
    if len(names) == 1 and _is_nested(inputs, stepper.graph.inputs[names[0]]):
        inputs = {names[0]: inputs}  # one array written as lists, no list of arrays
    checked, sizes = {}, {}
    for name, value in stepper.named_context(inputs).items():
        argument, symbolic = f"inputs[{name!r}]", stepper.graph.inputs[name]
        ids = symbolic.dtype.startswith(("int", "uint"))
        if ids and len(symbolic.shape) == 2 and _is_nested(value, symbolic):
            padding = generator.source_padding(name)
            value, _ = padded_lists(argument, value, padding)
            if value.size and generator._padding.source(name, padding):
                width = padded_width(value.shape[1], generator._padding.source_room)
                more = ((0, 0), (0, width - value.shape[1]))
                value = np.pad(value, more, constant_values=padding)
        value = ops.convert_to_numpy(value)
        expected = tuple(symbolic.shape)
        fits = len(value.shape) == len(expected) and all(
            size in (None, n) for size, n in zip(expected, value.shape, strict=True)
        )
        if not fits:
            raise ValueError(f"`{argument}` must have shape {expected}. Received: {value.shape}")
        if not value.shape[0]:
            raise ValueError(f"`{argument}` has no rows. Received shape: {value.shape}")
        if ids:
            check_ids(argument, value, vocabulary_size(stepper.model, name))
        if len(expected) == 2:
            check_positions(stepper.model, name, value.shape[1], f"`{argument}`")
        checked[name] = value.astype(symbolic.dtype)
        sizes[name] = value.shape[0]
    if len(set(sizes.values())) > 1:
        raise ValueError(f"`inputs` must have one batch size. Received: {sizes}")
    return checked


def _is_nested(value, symbolic):
    """Whether `value` is a list of rows of numbers for the input `symbolic`, ragged perhaps."""

    def depth(x):
        if not isinstance(x, (list, tuple)):
            return np.ndim(x)
        return 1 + max((depth(item) for item in x), default=0)

    return isinstance(value, (list, tuple)) and depth(value) == len(symbolic.shape)

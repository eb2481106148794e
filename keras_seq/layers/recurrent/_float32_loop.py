"""Recurrences in bfloat16 whose loop computes in float32, where bfloat16 is slower.

XLA on a CPU has no products in bfloat16: at each time step it converts the whole kernel, which
makes a training step two to three times slower than in float32 (measured, LSTM and GRU of 256
units, TensorFlow and JAX, on a CPU that has avx512_bf16). Weights, inputs and results are rounded
to bfloat16 as they are anyway; what is computed between them is only more exact.
"""

import dataclasses

import keras
from keras import ops

from keras_seq.layers import _devices as devices
from keras_seq.layers.recurrent._engine import recur
from keras_seq.layers.recurrent.gated_cell import GatedCell


def recur_in_float32(cell, x, state, inputs, **options):
    """`recur`, computed in float32; the results have the dtype of x."""

    def widened(nest):
        return keras.tree.map_structure(lambda part: ops.cast(part, "float32"), nest)

    dropped = inputs.recurrent_dropout
    inputs = dataclasses.replace(
        inputs, recurrent_dropout=None if dropped is None else widened(dropped)
    )
    state = None if state is None else widened(state)
    outputs, state = recur(cell, widened(x), state, inputs, **options)
    return ops.cast(outputs, x.dtype), [ops.cast(part, x.dtype) for part in state]


def float32_is_faster(cell, x):
    """Whether a loop over x should compute in float32 although x is in bfloat16."""
    return (
        keras.backend.standardize_dtype(x.dtype) == "bfloat16"
        and isinstance(cell, GatedCell)
        and x.shape[1] != 1  # a step has no loop
        and _xla_compiles_for_cpu()
    )


def _xla_compiles_for_cpu():
    backend = keras.backend.backend()
    if backend == "jax":
        return devices.is_cpu()
    if backend == "tensorflow":
        from keras_seq.layers.recurrent._self_compiled import compiles_itself, in_xla

        return (in_xla() or compiles_itself()) and devices.is_cpu()
    return False

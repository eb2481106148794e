"""`LayerWithFusedKernel`: LSTM and GRU in one kernel of the device, where it computes the same.

Keras has the functions, which call cuDNN: LSTM and GRU on TensorFlow and PyTorch, LSTM on JAX. They
know no resets, no zoneout and no dropout between time steps, and masks only on TensorFlow, if all
padding is on the right. Everything else runs in the loop of `_engine.py`.
"""

import keras
from keras import ops

from keras_seq.layers import _devices as devices
from keras_seq.layers import _keras_private as keras_private
from keras_seq.layers.recurrent._engine import is_form_chosen
from keras_seq.layers.recurrent._layer_of_one_cell import LayerOfOneCell

BACKEND = keras.backend.backend()


class LayerWithFusedKernel(LayerOfOneCell):
    """A layer with `use_cudnn`, as in Keras.

    A subclass has `kernel_name`, "lstm" or "gru".
    """

    def __init__(self, cell, use_cudnn="auto", **kwargs):
        super().__init__(cell, **kwargs)
        if use_cudnn not in ("auto", True, False):
            raise ValueError(
                f"`use_cudnn` of {type(self).__name__} must be 'auto', True or False. Received: "
                f"use_cudnn={use_cudnn!r}"
            )
        self.use_cudnn = use_cudnn
        if BACKEND == "tensorflow" and use_cudnn and _unmet_by_layer(self) is None:
            self.supports_jit = False  # XLA cannot compile cuDNN's operation; as in Keras

    def _recur(self, cell, x, state, inputs, **options):
        def loop():
            return super(LayerWithFusedKernel, self)._recur(cell, x, state, inputs, **options)

        # A single step has no loop to replace; and a chosen form, such as a file's, is not ours.
        if self.use_cudnn is False or x.shape[1] == 1 or is_form_chosen():
            return loop()
        unmet = _unmet_by_layer(self) or _unmet_by_call(x, inputs)
        if unmet is None:
            try:
                return self._recur_fused(x, state, inputs.mask, options["reverse"], loop)
            except NotImplementedError:
                unmet = f"a kernel that Keras {keras.__version__} does not have on {BACKEND}"
        if self.use_cudnn is True:
            raise ValueError(
                f"`use_cudnn=True` of {type(self).__name__} `{self.name}` needs {unmet}. Meet the "
                "condition, or build the layer with `use_cudnn='auto'`, which gives the same "
                "numbers without cuDNN."
            )
        return loop()

    def _recur_fused(self, x, state, mask, reverse, loop):
        if state is None:
            state = self.cell.get_initial_state(ops.shape(x)[0])
            state = [ops.cast(part, x.dtype) for part in state]

        def kernel():
            return _run_kernel(self, x, state, mask, reverse)

        if mask is None:
            return kernel()
        valid = _is_right_padded(mask)
        if self.use_cudnn is True:
            # In a graph Keras' function checks it when it runs.
            if _is_eager() and not bool(valid):
                raise ValueError(
                    f"`mask` of {type(self).__name__} `{self.name}` must be True from the first "
                    "time step of each row on, at least there, and False from the first False on, "
                    "with `use_cudnn=True`. Build the layer with `use_cudnn='auto'`, which takes "
                    "any mask."
                )
            return kernel()
        return ops.cond(valid, kernel, loop)

    def get_config(self):
        return {**super().get_config(), "use_cudnn": self.use_cudnn}


def _unmet_by_layer(layer):
    """The first condition of the kernel that the layer or the machine does not meet, or `None`."""
    cell = layer.cell
    floats = ("float32",) if BACKEND == "jax" else ("float32", "float16", "bfloat16", "float64")
    conditions = {
        "a GPU": devices.has_gpu(),
        "a backend with a kernel for GRU (TensorFlow or PyTorch)": (
            layer.kernel_name == "lstm" or BACKEND != "jax"
        ),
        "`activation='tanh'`": cell.activation is keras.activations.tanh,
        "`recurrent_activation='sigmoid'`": cell.recurrent_activation is keras.activations.sigmoid,
        "`use_bias=True`": cell.use_bias,
        "`reset_after=True`": getattr(cell, "reset_after", True),
        "`unroll=False`": not layer.unroll,
        "`recompute=None`": layer.recompute is None,
        "`recurrent_dropout=0`": not cell.recurrent_dropout,
        "`zoneout=0`": not cell.zoneout,
        f"a compute dtype among {floats}": layer.compute_dtype in floats,
    }
    return next((name for name, holds in conditions.items() if not holds), None)


def _unmet_by_call(x, inputs):
    """The same for what a call is given, and where."""
    distribution = keras.distribution.distribution() if BACKEND == "jax" else None
    conditions = {
        "no `reset`": inputs.reset is None,
        "no `mask` (this backend's kernel takes none)": (
            inputs.mask is None or BACKEND == "tensorflow"
        ),
        "a graph that XLA does not compile": BACKEND != "tensorflow" or not _in_xla(),
        # The kernel is not divided among devices: each would compute the whole batch.
        "no `keras.distribution` of several devices": (
            distribution is None or distribution.device_mesh.devices.size == 1
        ),
    }
    return next((name for name, holds in conditions.items() if not holds), None)


def _is_eager():
    import tensorflow as tf

    return tf.executing_eagerly()


def _in_xla():
    from keras_seq.layers.recurrent._self_compiled import in_xla

    return in_xla()


def _run_kernel(layer, x, state, mask, reverse):
    """`(outputs, state)`, as `recur` gives them: outputs in the order of running."""
    cell = layer.cell
    flip = reverse and mask is None
    _, outputs, new_state = keras_private.fused_recurrence(layer.kernel_name)(
        ops.flip(x, axis=1) if flip else x,
        *state,
        mask,
        kernel=ops.cast(cell.kernel, x.dtype),
        recurrent_kernel=ops.cast(cell.recurrent_kernel, x.dtype),
        bias=ops.cast(cell.bias, x.dtype),
        activation=cell.activation,
        recurrent_activation=cell.recurrent_activation,
        return_sequences=layer.return_sequences,
        go_backwards=reverse and not flip,
    )
    if mask is None or not layer.return_sequences:
        return outputs, list(new_state)
    # cuDNN gives zeros where a masked step repeats the output: behind the others, or before them
    # in the order of running backwards.
    repeated = state[0] if reverse else new_state[0]
    shown = ops.expand_dims(ops.flip(mask, axis=1) if reverse else mask, -1)
    return ops.where(shown, outputs, ops.expand_dims(repeated, 1)), list(new_state)


def _is_right_padded(mask):
    """Whether each row of a mask (B, T) begins with True and has no True behind a False."""
    begins = ops.all(mask[:, 0])
    return ops.logical_and(begins, ops.all(ops.logical_or(mask[:, :-1], ~mask[:, 1:])))

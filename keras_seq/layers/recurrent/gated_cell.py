"""`GatedCell`: what the recurrence engine, the layers and Keras need to know of a cell."""

import keras
from keras import constraints, initializers, ops, regularizers

from keras_seq.layers._arguments import check_positive, check_rate


def check_implementation(layer, implementation):
    """Raise unless `implementation` is one that Keras knows."""
    if implementation not in (0, 1, 2):
        raise ValueError(
            f"`implementation` of {layer} must be 1 or 2 (or 0, in old files). Received: "
            f"implementation={implementation!r}"
        )


class GatedCell(keras.layers.Layer):
    r"""Base of the cells: two matrix products in, a new state out.

    A gated cell reads two products and updates its state from them without another product:

        x_t W + b       of all time steps at once, before the loop (hoisted by the engine)
        h_{t-1} U       inside the loop
        state_t = pointwise(z, state_{t-1}),    z = x_t W + b + h_{t-1} U

    So a new cell is its equations: `num_gates`, `state_names` and `pointwise`. Its gradient through
    time comes from the engine (explicit back-propagation through time, `_bptt.py`), which
    differentiates `pointwise` alone. A cell in which the two products do not meet as a sum
    overrides `update` instead; one that multiplies inside a gate sets `products_inside_gates` and
    overrides `advance`.

    A cell is also a Keras cell, `call(x_t, states) -> (h, states)`, for `keras.layers.RNN`.

    Attributes:
        num_gates: how many U-wide blocks the products have.
        state_names: the parts of the state; the first one is h, which is also the output.
        has_recurrent_bias: whether the recurrent product has a bias of its own.

    Args:
        units: U, width of the output and of each part of the state.
        activation: of the candidate and of the output.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: as in Keras.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: as in Keras.
        kernel_constraint, recurrent_constraint, bias_constraint: as in Keras.
        dropout: fraction of the input features to drop.
        recurrent_dropout: fraction of h to drop before its product (Gal & Ghahramani 2016).
        seed: of dropout and zoneout.
        zoneout: fraction of the state's units that keep their old value at a time step; at
            inference the expected value of both is taken (Krueger et al. 2017, section 3).
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`, `trainable`).

    Call arguments:
        x: (B, D) inputs of one time step.
        states: list of (B, U) tensors, one for each of `state_names`.

    Returns:
        `(h, states)`.

    Raises:
        ValueError: if an argument is out of range.

    Example: the minimal gated unit of Zhou et al. 2016, its one gate behind the product as in
    `GRUCell`, to be run by `RNN`.

    ```python
    import keras
    import numpy as np
    from keras import ops

    import keras_seq


    @keras.saving.register_keras_serializable("my_package")
    class MinimalGatedCell(keras_seq.layers.GatedCell):
        num_gates = 2

        def update(self, x, h, state):
            (previous,) = state
            x_f, x_g = ops.split(x, 2, axis=-1)
            h_f, h_g = ops.split(h, 2, axis=-1)
            f = self.recurrent_activation(x_f + h_f)
            g = self.activation(x_g + f * h_g)
            return [(1 - f) * previous + f * g]


    layer = keras_seq.layers.RNN(MinimalGatedCell(8), return_sequences=True)
    print(layer(np.ones((2, 5, 3), "float32")).shape)  # (2, 5, 8)
    ```
    """

    num_gates = 1
    state_names = ("h",)
    has_recurrent_bias = False
    products_inside_gates = False

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        *,
        zoneout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        name = type(self).__name__
        check_positive(name, units=units)
        check_rate(name, dropout=dropout, recurrent_dropout=recurrent_dropout, zoneout=zoneout)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.recurrent_activation = keras.activations.get(recurrent_activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.zoneout = zoneout
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.reset_dropout_mask()
        self.reset_recurrent_dropout_mask()

    @property
    def state_size(self):
        """Widths of the parts of the state."""
        return [self.units] * len(self.state_names)

    @property
    def output_size(self):
        return self.units

    def build(self, input_shape):
        width = self.num_gates * self.units
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], width),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, width),
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(2, width) if self.has_recurrent_bias else (width,),
                initializer=self.initial_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.build_update()

    def build_update(self):
        """Make the weights that `update` needs; none by default."""

    def initial_bias(self, shape, dtype=None):
        return self.bias_initializer(shape, dtype=dtype)

    def get_initial_state(self, batch_size=None):
        """Zeros, a list of (B, U) tensors."""
        return [ops.zeros((batch_size, n), dtype=self.compute_dtype) for n in self.state_size]

    def input_weights(self, dtype):
        """Tensors of the input's product: kernel, and bias or `None`; `dtype` as below."""
        kernel = ops.cast(self.kernel, dtype)
        if self.bias is None:
            return kernel, None
        bias = ops.cast(self.bias, dtype)
        return kernel, bias[0] if self.has_recurrent_bias else bias

    def project(self, x, kernel, bias):
        """`x W + b`, (..., D) to (..., num_gates * U), from `input_weights`."""
        z = ops.matmul(x, kernel)
        return z if bias is None else z + bias

    def recurrent_weights(self, dtype):
        """Tensors of the recurrent product and of `update`: kernel, bias or `None`, others.

        Args:
            dtype: of the computation: the layer's that runs the cell, which may not be the cell's.
        """
        bias = None
        if self.bias is not None and self.has_recurrent_bias:
            bias = ops.cast(self.bias, dtype)[1]
        others = [ops.cast(w, dtype) for w in self.update_weights()]
        return ops.cast(self.recurrent_kernel, dtype), bias, others

    def update_weights(self):
        """Weights that `update` takes after the state."""
        return []

    def pointwise(self, z, state, *weights):
        """The equations of one time step.

        Args:
            z: (B, num_gates * U), x_t W + b + h_{t-1} U.
            state: list of (B, U) tensors, one for each of `state_names`.
            *weights: tensors of `update_weights`.

        Returns:
            The new state, a list like `state`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `pointwise` or `update`")

    def update(self, x, h, state, *weights):
        """The equations of one time step from the two products x_t W + b and h_{t-1} U."""
        return self.pointwise(x + h, state, *weights)

    def gates(self, *arguments):
        """The gates' activations by name, each (B, U); takes what `pointwise`, or `update`, takes.

        A cell without gates gives an empty dict.
        """
        return {}

    def gates_before(self, x, state, kernel, bias, weights):
        """The gates' activations by name, from the projected input and the state before a step.

        Args:
            x: (B, num_gates * U), the projected input.
            state: list of (B, U) tensors.
            kernel, bias, weights: of `recurrent_weights`.
        """
        h = ops.matmul(state[0], kernel)
        h = h if bias is None else h + bias
        products = (x + h,) if self.adds_products else (x, h)
        return self.gates(*products, state, *weights)

    @property
    def adds_products(self):
        """Whether the equations read only the sum of the products, so that it alone is stored."""
        return type(self).update is GatedCell.update

    def advance(self, x, h, state, kernel, bias, weights):
        """One time step.

        Args:
            x: (B, num_gates * U), the projected input.
            h: (B, U), input of the recurrent product: `state[0]`, or what dropout leaves of it.
            state: list of (B, U) tensors.
            kernel, bias, weights: of `recurrent_weights`.

        Returns:
            The new state.
        """
        h = ops.matmul(h, kernel)
        return self.update(x, h if bias is None else h + bias, state, *weights)

    def call(self, x, states, training=False):
        state = list(states) if isinstance(states, (list, tuple)) else [states]
        h = state[0]
        x = ops.cast(x, h.dtype)  # Keras leaves integers as they are
        if training and self.dropout:
            x = x * self._mask_or_new(self._dropout_mask, x, self.dropout)
        if training and self.recurrent_dropout:
            h = h * self._mask_or_new(self._recurrent_dropout_mask, h, self.recurrent_dropout)
        x = self.project(x, *self.input_weights(x.dtype))
        new = self.advance(x, h, state, *self.recurrent_weights(x.dtype))
        if self.zoneout:
            new = [self._zoned_out(s, n, training) for s, n in zip(state, new, strict=True)]
        return new[0], new

    def _mask_or_new(self, mask, x, rate):
        """A mask that was made before the loop, or one for this time step alone."""
        if mask is not None:
            return mask
        return keras.random.dropout(ops.ones_like(x), rate, seed=self.seed_generator)

    def get_dropout_mask(self, x):
        """Make the mask that `call` uses for its input until `reset_dropout_mask`, as in Keras."""
        if self.dropout and self._dropout_mask is None:
            self._dropout_mask = self._mask_or_new(None, x, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, h):
        """Make the mask that `call` uses for h until `reset_recurrent_dropout_mask`."""
        if self.recurrent_dropout and self._recurrent_dropout_mask is None:
            self._recurrent_dropout_mask = self._mask_or_new(None, h, self.recurrent_dropout)
        return self._recurrent_dropout_mask

    def reset_dropout_mask(self):
        self._dropout_mask = None

    def reset_recurrent_dropout_mask(self):
        self._recurrent_dropout_mask = None

    def _zoned_out(self, old, new, training):
        if not training:
            return new + self.zoneout * (old - new)
        kept = keras.random.uniform(ops.shape(new), seed=self.seed_generator) < self.zoneout
        return ops.where(kept, old, new)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "recurrent_activation": keras.activations.serialize(self.recurrent_activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "recurrent_regularizer": regularizers.serialize(self.recurrent_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "recurrent_constraint": constraints.serialize(self.recurrent_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "zoneout": self.zoneout,
            "seed": self.seed,
        }

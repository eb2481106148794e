"""The position-wise feed-forward network (Vaswani et al. 2017, section 3.3)."""

import keras

from keras_seq.layers._affine import affine
from keras_seq.layers._arguments import check_positive, check_rate
from keras_seq.layers._clone_initializer import clone_initializer
from keras_seq.layers.blocks._activations import get_activation, serialize_activation
from keras_seq.layers.sequence_layer import SequenceLayer


@keras.saving.register_keras_serializable(package="keras_seq")
class FeedForward(SequenceLayer):
    r"""Two dense layers, applied to each time step alone (Vaswani et al. 2017, section 3.3).

        y = activation(x W_1 + b_1) W_2 + b_2

    With `gated=True` a third one is multiplied in (Shazeer 2020, section 2; ReGLU, GEGLU and SwiGLU
    with `activation="relu"`, `"gelu"` and `"silu"`):

        y = (activation(x W + b) * (x V + c)) W_2 + b_2

    Args:
        intermediate_dim: width between the layers. A gated network has as many weights as a plain
            one that is 3/2 as wide.
        activation: between the layers: a function or a name that Keras knows, or `"gelu_tanh"`
            (also `"gelu_approximate"`), the tanh approximation of GELU that GPT-2 and Gemma have.
        dropout: fraction of the intermediate features to drop in training.
        gated: whether to multiply the activations by a linear layer.
        use_bias: whether the layers have biases.
        kernel_initializer, bias_initializer: of all layers.
        seed: of the dropout.

    Call arguments, returns: see `call`.

    Raises:
        ValueError: if `intermediate_dim` or `dropout` is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.FeedForward(intermediate_dim=32)
    print(layer(np.ones((2, 5, 8), "float32")).shape)  # (2, 5, 8)
    ```
    """

    def __init__(
        self,
        intermediate_dim,
        activation="relu",
        dropout=0.0,
        gated=False,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive("FeedForward", intermediate_dim=intermediate_dim)
        check_rate("FeedForward", dropout=dropout)
        self.intermediate_dim = intermediate_dim
        self.activation = get_activation(activation)
        self.dropout = dropout
        self.gated = gated
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        features, width = input_shape[-1], self.intermediate_dim
        self.inner_kernel, self.inner_bias = self._add_dense("inner", features, width)
        if self.gated:
            self.linear_kernel, self.linear_bias = self._add_dense("linear", features, width)
        self.outer_kernel, self.outer_bias = self._add_dense("outer", width, features)

    def _add_dense(self, name, features, units):
        kernel = self.add_weight(
            name=f"{name}_kernel",
            shape=(features, units),
            initializer=clone_initializer(self.kernel_initializer),
        )
        if not self.use_bias:
            return kernel, None
        bias = self.add_weight(
            name=f"{name}_bias",
            shape=(units,),
            initializer=clone_initializer(self.bias_initializer),
        )
        return kernel, bias

    def call(self, x, initial_state=None, return_state=False, training=None):
        """Transform each time step.

        Args:
            x: (B, T, D) floats.
            initial_state, return_state: the contract's; there is no state.
            training: whether dropout is on.

        Returns:
            (B, T, D), then the empty state where asked for.
        """
        y = self.activation(affine(x, self.inner_kernel, self.inner_bias))
        if self.gated:
            y = y * affine(x, self.linear_kernel, self.linear_bias)
        if training and self.dropout:
            y = keras.random.dropout(y, self.dropout, seed=self.seed_generator)
        y = affine(y, self.outer_kernel, self.outer_bias)
        return (y, ()) if return_state else y

    def compute_output_shape(self, x_shape):
        return tuple(x_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "activation": serialize_activation(self.activation),
            "dropout": self.dropout,
            "gated": self.gated,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "seed": self.seed,
        }

"""Forecasters of time series: linear, Markov, recurrent, Transformer, as functional models."""

import keras
from keras import layers, ops

from keras_seq.layers import CausalWindow, LearnedPositions, TransformerEncoderBlock
from keras_seq.layers._arguments import check_choice, check_positive
from keras_seq.models._recurrent import RECURRENT

CELLS = ("linear", "markov", "gru", "lstm", "transformer")


def forecaster(
    past,
    future,
    num_features,
    cell="linear",
    every_step=False,
    num_layers=2,
    hidden_dim=64,
    dropout=0.2,
    num_heads=4,
    intermediate_dim=128,
    patch_size=16,
    patch_stride=8,
    name="forecaster",
):
    r"""The future of a time series, all F steps at once, from its past.

        linear       y = W x + b, for each feature, x its last P values: the autoregressive model
                     AR(P) (Yule 1927) with F outputs (Zeng et al. 2023)
        markov       y = x_t + f(x_t): the future given the present alone, f a dense network
        gru, lstm    y = x_t + W h_t, h_t the state after x_1, ..., x_t
        transformer  y = W concat(z), z = encoder_block^N(W_p patches(x) + p), for each feature:
                     its values in patches that overlap (PatchTST, Nie et al. 2023)

    `linear` and `transformer` treat every feature as a series of its own, with the same weights,
    and forecast it in units of its past: reversible instance normalization (Kim et al. 2022),

        y = std(x) f((x - mean(x)) / std(x)) + mean(x)

    All but the Transformer are causal. With `every_step` they forecast after each observation, so
    that they train on every step of a series and are stepped by `keras_seq.stepping.Stepper`, one
    observation at a time; the weights are those of the model without, `set_weights` works both
    ways. These forecasts take what is before the first observation for zeros.

    Args:
        past: P, the number of time steps that the model sees; with `every_step` those that
            `linear` looks back, the others take a series of any length.
        future: F, the number of time steps after them, to forecast.
        num_features: D, columns of the series.
        cell: `"linear"`, `"markov"`, `"gru"`, `"lstm"` or `"transformer"`.
        every_step: whether there is a forecast after each step, or after the last one only. Labels
            are those of `keras_seq.data.series` with the same argument.
        num_layers: of the network, recurrent layers or blocks; `linear` has one.
        hidden_dim: their width.
        dropout: fraction to drop after each layer and in the blocks.
        num_heads, intermediate_dim: of the Transformer's blocks.
        patch_size, patch_stride: time steps of a patch of the Transformer, and from the beginning
            of one to the next. The last patch ends with the present.
        name: of the model.

    Returns:
        `keras.Model` from (B, P, D) floats to (B, F, D). With `every_step` from (B, T, D) to
        (B, T, F, D), or to (B, T, D) for `future=1`.

    Raises:
        ValueError: if a size is below 1, `cell` is unknown, `hidden_dim` is no multiple of
            `num_heads`, `patch_size` is beyond `past`, or the Transformer is to forecast at every
            step.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.forecaster(past=48, future=12, num_features=3)
    x = np.random.default_rng(0).normal(size=(2, 60, 3)).astype("float32")
    print(model(x[:, -48:]).shape)  # (2, 12, 3)

    online = keras_seq.models.forecaster(48, 12, 3, every_step=True)
    online.set_weights(model.get_weights())
    stepper = keras_seq.stepping.Stepper(online)
    state = stepper.get_initial_state(batch_size=2, max_length=60)
    for t in range(60):
        y, state = stepper.step(x[:, t : t + 1], state)  # (2, 1, 12, 3)
    np.testing.assert_allclose(y[:, 0], model(x[:, -48:]), atol=1e-4)
    ```
    """
    check_positive(
        "forecaster",
        past=past,
        future=future,
        num_features=num_features,
        num_layers=num_layers,
        hidden_dim=hidden_dim,
    )
    check_choice("forecaster", CELLS, cell=cell)
    if every_step and cell == "transformer":
        raise ValueError(
            "`every_step` of forecaster must be False for cell='transformer', whose patches are "
            "those of one past. Call the model on the last `past` observations, or choose another "
            f"cell of {CELLS}. Received: every_step={every_step!r}"
        )
    inputs = x = keras.Input((None if every_step else past, num_features), name="past")
    # y is (B, T, F, D), with T = 1 where only the last step is forecast from.
    if cell == "linear":
        windows = _windows(x, past) if every_step else ops.expand_dims(x, 1)
        y = _by_feature(layers.Dense(future, name="linear"), windows)
    elif cell == "transformer":
        _check_patches(past, patch_size, patch_stride)
        block = {"intermediate_dim": intermediate_dim, "num_heads": num_heads, "dropout": dropout}

        def f(x):  # (B, 1, D, P) to (B, 1, D, F)
            x = ops.reshape(x, (-1, past, 1))[:, (past - patch_size) % patch_stride :]
            z = layers.Conv1D(hidden_dim, patch_size, patch_stride, name="patches")(x)
            z = LearnedPositions(z.shape[1], name="positions")(z)
            z = layers.Dropout(dropout)(z)
            for i in range(num_layers):
                z = TransformerEncoderBlock(**block, activation="gelu", name=f"encoder_{i}")(z)
            y = layers.Dense(future, name="future")(layers.Flatten()(z))
            return ops.reshape(y, (-1, 1, num_features, future))

        y = _by_feature(f, ops.expand_dims(x, 1))
    else:
        h = x[:, -1:] if cell == "markov" and not every_step else x
        for i in range(num_layers):
            h = _layer(cell, hidden_dim, name=f"{cell}_{i}")(h)
            h = layers.Dropout(dropout)(h)
        if not every_step:
            x, h = x[:, -1:], h[:, -1:]
        change = layers.Dense(future * num_features, name="change")(h)
        y = ops.expand_dims(x, 2) + layers.Reshape((-1, future, num_features))(change)
    shape = (future, num_features) if future > 1 or not every_step else (num_features,)
    shape = (-1, *shape) if every_step else shape
    return keras.Model(inputs, layers.Reshape(shape, name="forecast")(y), name=name)


def _layer(cell, units, name):
    if cell == "markov":
        return layers.Dense(units, activation="relu", name=name)
    return RECURRENT[cell](units, return_sequences=True, name=name)


def _windows(x, past):
    """(B, T, D) to (B, T, P, D): the last P values at each step, zeros before the first."""
    return layers.Reshape((-1, past, x.shape[-1]))(CausalWindow(past)(x))


def _by_feature(f, x):
    """(B, T, P, D) to (B, T, F, D) by f, (..., P) to (..., F), in units of the past values.

    Reversible instance normalization (Kim et al. 2022), without its learned scale.
    """
    x = ops.transpose(x, (0, 1, 3, 2))  # (B, T, D, P)
    mean = ops.mean(x, axis=-1, keepdims=True)
    std = ops.sqrt(ops.var(x, axis=-1, keepdims=True) + 1e-5)
    return ops.transpose(std * f((x - mean) / std) + mean, (0, 1, 3, 2))


def _check_patches(past, patch_size, patch_stride):
    check_positive("forecaster", patch_size=patch_size, patch_stride=patch_stride)
    if patch_size > past:
        raise ValueError(
            f"`patch_size` of forecaster must be at most `past`, {past}. Received: "
            f"patch_size={patch_size}"
        )

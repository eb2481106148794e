"""The contract that every sequence layer of keras_seq keeps."""

import inspect

import keras
from keras import ops

from keras_seq.layers._keras_private import get_mask, standalone_output_spec


class SequenceLayer(keras.layers.Layer):
    r"""Base of all sequence layers: a whole sequence at once, or one time step after another.

    Every sequence model is a rule that updates a state and reads an output from it,

        y_t, state_t = step(x_t, state_{t-1})

    and a layer keeps the contract when three members agree:

    - `call(x)` runs the whole sequence at once.
    - `get_initial_state(batch_size, max_length)` is the state before the first step, a nest of
      tensors of fixed shape, so that it can live in a `while_loop`, a LiteRT signature or a server.
    - `step(x_t, state)` runs one time step.

    `call(x, initial_state=state, return_state=True)` connects the two, and the invariant is that
    for any split of `x` into called and stepped parts the numbers are the same. This class makes it
    hold by construction where it can: `step` *is* `call` on a chunk of one.

    A subclass writes `call` (with `initial_state=None, return_state=False` among its arguments),
    `get_initial_state` where it has a state, and sets `causal = False` where its output at `t`
    depends on inputs after `t`; such a layer can be called but not stepped. A layer that looks
    along time may take `reset` among the arguments of `call`, (B, T) boolean, True where a document
    begins, so that documents can share a row (see `keras_seq.training.Packed`).

    The contract is also the idea of DeepMind's SequenceLayers (arXiv 2507.23292); here it holds for
    plain Keras layers in plain functional models.

    Args:
        **kwargs: arguments of `keras.layers.Layer` (`name`, `dtype`, `trainable`).

    Example:

    ```python
    import numpy as np
    import keras_seq

    layer = keras_seq.layers.GRU(8, return_sequences=True)
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    whole = layer(x)                                        # (B, T, U)

    state = layer.get_initial_state(batch_size=2)
    for t in range(5):
        y, state = layer.step(x[:, t : t + 1], state)       # (B, 1, U)
    np.testing.assert_allclose(y[:, 0], whole[:, -1], atol=1e-6)
    ```
    """

    causal = True
    can_reset_state = True  # whether `reset`, where `call` takes it, may go with a state

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def get_initial_state(self, batch_size, max_length=None):
        """The state before the first step.

        Args:
            batch_size: B, an int or a scalar tensor.
            max_length: the largest number of time steps the state must be able to hold; layers
                whose state does not grow ignore it.

        A layer whose `call` has further tensor arguments (a memory to attend to, the encoder's last
        state) takes them here, too, by their name in `call`, so that what depends on them alone is
        computed once and kept in the state.

        Returns:
            A nest of tensors, the batch first. A layer without a state has the empty tuple.
        """
        return ()

    def _standardize_state(self, initial_state, batch_size):
        """The state that `call` makes of what it is given as `initial_state`."""
        return initial_state

    def step(self, x, state, mask=None, **kwargs):
        """Run one time step (or a short chunk of steps) from `state`.

        Args:
            x: inputs of the step, (B, 1, D), or (B, 1) token ids where the layer takes ids.
            state: what `get_initial_state` or an earlier `step` gave.
            mask: optional (B, 1) boolean, False where the step is to leave the state as it is.
            **kwargs: further arguments of `call`.

        Returns:
            `(y, state)` with y of shape (B, 1, features).

        Raises:
            ValueError: if the layer is not causal.
        """
        self._check_causal()
        if mask is not None and "mask" in inspect.signature(self.call).parameters:
            kwargs["mask"] = mask
        return self(x, initial_state=state, return_state=True, **kwargs)

    def compute_output_spec(self, *args, **kwargs):
        if kwargs.get("return_state") or kwargs.get("return_attention_scores"):
            # These change the outputs, which `compute_output_shape` cannot know.
            return standalone_output_spec(self, *args, **kwargs)
        if type(self).compute_output_shape is keras.layers.Layer.compute_output_shape:
            return standalone_output_spec(self, *args, **kwargs)
        arguments = inspect.signature(self.call).bind(*args, **kwargs).arguments
        shapes = {n: tuple(x.shape) for n, x in arguments.items() if hasattr(x, "shape")}
        # As Keras does: the first shape goes to the first parameter, whatever its name is
        # (`input_shape`), and those of further tensors to `<argument>_shape`.
        _, *others = inspect.signature(self.compute_output_shape).parameters
        given = {f"{name}_shape": shape for name, shape in list(shapes.items())[1:]}
        given = {name: given[name] for name in others if name in given}
        return keras.tree.map_shape_structure(
            lambda shape: keras.KerasTensor(shape, dtype=self.compute_dtype),
            self.compute_output_shape(next(iter(shapes.values())), **given),
        )

    def compute_mask(self, inputs, previous_mask):
        return previous_mask

    def _check_built(self):
        if not self.built:
            raise ValueError(
                f"`{self.name}` ({type(self).__name__}) has no weights yet, and its state depends "
                "on them. Call the layer once, or `build` it, before `get_initial_state`."
            )

    def _check_causal(self):
        if not self.causal:
            raise ValueError(
                f"`{self.name}` ({type(self).__name__}) is not causal: its output at one time step "
                "depends on later inputs, so it cannot run step by step. Call it on the whole "
                "sequence, or build it with `causal=True` where it has that argument."
            )


def implicit_mask(x, mask):
    """`mask` if given, else the one that travels with `x`, as booleans (B, T); else `None`.

    Keras fills a layer's `mask` argument only when the layer got a single tensor.
    """
    mask = get_mask(x) if mask is None else mask
    return None if mask is None else ops.cast(mask, "bool")


def is_mask_of(mask, x):
    """Whether `mask` is (B, T) for x (B, T, ...), as far as both shapes are known."""
    pairs = zip(mask.shape, x.shape, strict=False)
    return len(mask.shape) == 2 and all(a == b for a, b in pairs if None not in (a, b))


def check_mask(layer, name, mask, x):
    """Raise unless `mask`, a call argument of `layer`, is `None` or boolean (B, T), like `x`."""
    if mask is None:
        return
    who = f"`{name}` of {type(layer).__name__} `{layer.name}`"
    dtype = getattr(mask, "dtype", None)
    if dtype is None or keras.backend.standardize_dtype(dtype) != "bool":
        raise TypeError(
            f"{who} must be boolean, True where it holds. Received dtype: {dtype}. Compare or cast "
            "first."
        )
    if not is_mask_of(mask, x):
        raise ValueError(
            f"{who} must have shape (B, T) = {tuple(x.shape[:2])}, one value a time step. "
            f"Received shape: {tuple(mask.shape)}"
        )

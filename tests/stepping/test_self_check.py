import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_seq.generation import Generator
from keras_seq.layers import GRU, MultiHeadSelfAttention, SequenceLayer, TransformerDecoderBlock
from keras_seq.stepping import Stepper, register_pointwise
from tests.generation.generation_models import hybrid, shaken, translator


class Forgetful(GRU):
    """Its steps begin anew each time."""

    def step(self, x, state, mask=None, **kwargs):
        y, _ = super().step(x, state, mask=mask, **kwargs)
        return y, state


class Sums(SequenceLayer):
    """y_t = x_1 + ... + x_t, and a count of its calls, which no check may change."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = self.add_weight(name="calls", initializer="zeros", trainable=False)

    def build(self, input_shape):
        self.features = input_shape[-1]

    def compute_output_shape(self, x_shape):
        return x_shape

    def get_initial_state(self, batch_size, max_length=None):
        return ops.zeros((batch_size, self.features))

    def call(self, x, initial_state=None, return_state=False):
        self.calls.assign(self.calls + 1)
        start = 0.0 if initial_state is None else ops.expand_dims(initial_state, 1)
        y = ops.cumsum(x, axis=1) + start
        return (y, y[:, -1]) if return_state else y


@register_pointwise
class Mixes(layers.Layer):
    """Declared pointwise, and it is not."""

    def call(self, x):
        return x - ops.mean(x, axis=1, keepdims=True)


def test_the_self_check_finds_nothing_wrong_with_good_models():
    for model in (hybrid(), translator("lstm"), translator("transformer")):
        assert Stepper(model, self_check=True).check(length=8) < 1e-4


def test_a_layer_of_the_users_own_is_checked_when_the_stepper_is_built():
    x = keras.Input((None, 4))
    h = MultiHeadSelfAttention(2, 2, causal=True)(GRU(4, return_sequences=True)(x))
    y = layers.Dense(3)(Forgetful(4, return_sequences=True, name="culprit")(h))
    model = shaken(keras.Model(x, y))
    expected = (
        "other numbers step by step.*first layer.*`culprit` \\(Forgetful\\).*self_check=False"
    )
    with pytest.raises(ValueError, match=expected):
        Stepper(model)
    with pytest.raises(ValueError, match="`culprit`"):
        Stepper(model, self_check=False).check()


def test_an_encoder_of_the_users_own_needs_no_check():
    class Encoder(layers.Layer):
        def call(self, x):
            assert x.shape[1] in (None, 7), "random inputs would not do"
            return x[:, 0]

        def compute_output_shape(self, shape):
            return (shape[0], shape[2])

    source, x = keras.Input((None, 4), name="source"), keras.Input((None, 4), name="target")
    y = GRU(4, return_sequences=True)(x, initial_state=[Encoder()(source)])
    Stepper(keras.Model([source, x], y))


def test_the_layer_is_found_inside_a_model_inside_the_model():
    inner_x = keras.Input((None, 4))
    inner = keras.Model(inner_x, Mixes(name="culprit")(layers.Dense(4)(inner_x)), name="inside")
    tokens = keras.Input((None,), dtype="int32")
    model = shaken(keras.Model(tokens, layers.Dense(9)(inner(layers.Embedding(9, 4)(tokens)))))
    expected = "`inside/culprit` \\(Mixes\\).*each time step alone"
    with pytest.raises(ValueError, match=expected):
        Generator(model, max_length=3)


def test_the_self_check_leaves_the_model_as_it_was():
    x = keras.Input((None, 4), batch_size=2)
    h = Sums(name="sums")(layers.Dropout(0.5)(x))
    model = keras.Model(x, GRU(4, return_sequences=True, stateful=True, dropout=0.3)(h))
    model(np.ones((2, 3, 4), "float32"))
    before = [ops.convert_to_numpy(v) for v in model.variables]
    stepper = Stepper(model)  # checks itself, because of `Sums`
    stepper.check()
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


def test_a_mask_on_the_context_outlives_a_compiled_function():
    source = keras.Input((None,), dtype="int32", name="source")
    x = keras.Input((None, 4), name="target")
    memory = layers.Embedding(9, 4, mask_zero=True)(source)
    model = shaken(keras.Model([source, x], layers.MultiHeadAttention(2, 3)(x, memory)))
    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 0]], "int32")
    target = np.random.default_rng(0).normal(size=(2, 1, 4)).astype("float32")
    stepper = Stepper(model)
    state = keras.tree.map_structure(ops.copy, stepper.get_initial_state(inputs=ids))
    y, _ = stepper.step(target, state)
    np.testing.assert_allclose(y, model([ids, target]), atol=1e-5)


def test_attention_scores_among_the_outputs_are_compared_unless_a_window_cuts_them():
    x, memory = keras.Input((None, 4), name="target"), keras.Input((5, 4), name="source")
    block = TransformerDecoderBlock(6, 2)
    for state in ({}, {"return_state": True}):
        y, scores, *_ = block(x, memory, return_attention_scores="both", **state)
        stepper = Stepper(shaken(keras.Model([x, memory], [y, scores])))
        assert stepper.check() < 1e-4
    step = block.step
    block.step = lambda x, state, **kwargs: step(x * 1.1, state, **kwargs)
    with pytest.raises(ValueError, match=f"`{block.name}`"):
        stepper.check()
    windowed = MultiHeadSelfAttention(2, 3, causal=True, sliding_window=2)
    outputs = windowed(x, return_attention_scores=True)
    assert Stepper(keras.Model(x, list(outputs))).check() < 1e-4

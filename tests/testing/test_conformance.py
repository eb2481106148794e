"""The kit finds what it is there to find: for each invariant a layer that violates it."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.testing import INVARIANTS, ConformanceReport, InvariantViolated, check_sequence_layer

SHAPE = (3, 5, 4)


class CacheOffByOne(ks.layers.MultiHeadSelfAttention):
    def get_initial_state(self, batch_size, max_length=None):
        state = super().get_initial_state(batch_size, max_length + 1)
        return {**state, "position": state["position"] + 1, "valid": state["valid"] | True}


class SwappedGatesInStep(ks.layers.GRU):
    def step(self, x, state, mask=None, **kwargs):
        kernel = ops.convert_to_numpy(self.cell.recurrent_kernel)
        z, r, g = np.split(kernel, 3, axis=-1)
        self.cell.recurrent_kernel.assign(np.concatenate([r, z, g], axis=-1))
        try:
            return super().step(x, state, mask=mask, **kwargs)
        finally:
            self.cell.recurrent_kernel.assign(kernel)


class StepForgetsMask(ks.layers.LSTM):
    def step(self, x, state, mask=None, **kwargs):
        return super().step(x, state, **kwargs)


class StateGrows(ks.layers.FeedForward):
    def call(self, x, initial_state=None, return_state=False):
        y = super().call(x)
        return (y, [*initial_state, x]) if return_state else y

    def get_initial_state(self, batch_size, max_length=None):
        return []


class IgnoresMask(ks.layers.LSTM):
    def call(self, x, mask=None, **kwargs):
        return super().call(x, mask=ops.ones_like(x[:, :, 0], dtype="bool"), **kwargs)


class IgnoresImplicitMask(ks.layers.SequenceLayer):
    """A running sum that knows the mask only if it is told: Keras' own is dropped on the way."""

    def call(self, x, mask=None, initial_state=None, return_state=False):
        if mask is not None and not isinstance(mask, keras.KerasTensor) and not hidden(x):
            x = ops.where(ops.expand_dims(mask, -1), x, 0)
        return ops.cumsum(x, axis=1)

    def compute_output_shape(self, x_shape):
        return x_shape


def hidden(x):
    """Whether the mask came with the tensor."""
    return getattr(x, "_keras_mask", None) is not None


class IgnoresContextMask(ks.layers.MultiHeadCrossAttention):
    def get_initial_state(self, batch_size, max_length=None, context=None, context_mask=None):
        state = super().get_initial_state(batch_size, max_length, context)
        return {**state, "valid": ops.ones_like(state["valid"])}


class LooksAhead(ks.layers.SequenceLayer):
    def call(self, x):
        return x + ops.roll(x, -1, axis=1)

    def compute_output_shape(self, x_shape):
        return x_shape


class NormalizesOverBatch(ks.layers.SequenceLayer):
    def call(self, x):
        return x - ops.mean(x, axis=0, keepdims=True)

    def compute_output_shape(self, x_shape):
        return x_shape


class IgnoresReset(ks.layers.GRU):
    def call(self, sequences, reset=None, **kwargs):
        return super().call(sequences, **kwargs)


class SplitsAllRows(ks.layers.CausalWindow):
    def call(self, x, reset=None, **kwargs):
        if reset is not None:
            reset = ops.broadcast_to(ops.any(reset, axis=0, keepdims=True), ops.shape(reset))
        return super().call(x, reset=reset, **kwargs)


class NaNWhereNothingIsVisible(keras.layers.Layer):
    def call(self, x, mask=None):
        mask = ops.ones_like(x[:, :, 0]) if mask is None else ops.cast(mask, x.dtype)
        mask = ops.expand_dims(mask, -1)
        return x + ops.sum(x * mask, 1, keepdims=True) / ops.sum(mask, 1, keepdims=True)


class WrongShape(ks.layers.FeedForward):
    def compute_output_shape(self, x_shape):
        return (*x_shape[:-1], x_shape[-1] + 1)


class WrongDtype(ks.layers.FeedForward):
    def call(self, x, **kwargs):
        return ops.cast(super().call(x, **kwargs), "float16")


class StopsGradient(keras.layers.Dense):
    def call(self, x, training=None):
        return ops.matmul(x, ops.stop_gradient(ops.convert_to_tensor(self.kernel))) + self.bias


class InfiniteGradient(keras.layers.Dense):
    def call(self, x, training=None):
        y = super().call(x)
        return y + ops.sqrt(0 * y)  # the root's slope at zero is infinite, and times zero NaN


class ForgetsArgument(ks.layers.MultiHeadSelfAttention):
    def get_config(self):
        config = super().get_config()
        del config["causal"]
        return config


class ConfigIsNotJSON(ks.layers.FeedForward):
    def get_config(self):
        return {**super().get_config(), "activation": np.tanh}


class KeepsNumbersOutsideWeights(keras.layers.Layer):
    made = 0

    def build(self, shape):
        type(self).made += 1
        self.scale = float(type(self).made)

    def call(self, x):
        return self.scale * x


class LosesWeightInFile(keras.layers.Dense):
    def load_own_variables(self, store):
        pass


class Overflows(keras.layers.Layer):
    def call(self, x):
        return x * 1e4 * 1e4 / 1e8


class HalfWeights(keras.layers.Dense):
    def add_weight(self, *args, dtype=None, **kwargs):
        return super().add_weight(*args, dtype=self.compute_dtype, **kwargs)


class OtherNumbersWhenCompiled(keras.layers.Layer):
    def call(self, x):
        try:
            ops.convert_to_numpy(x)
            return x
        except Exception:  # only inside a graph
            return x + 1


class CannotBeCompiled(keras.layers.Layer):
    def call(self, x):
        return x + float(ops.convert_to_numpy(x).sum())

    def compute_output_spec(self, x):
        return x


BAD = [
    ("stepping equals calling", lambda: CacheOffByOne(2, 3, causal=True), {}),
    ("stepping equals calling", lambda: SwappedGatesInStep(4, return_sequences=True), {}),
    ("stepping equals calling", lambda: StepForgetsMask(4, return_sequences=True), {}),
    ("stepping equals calling", lambda: StateGrows(4), {}),
    ("padding changes nothing", lambda: IgnoresMask(4, return_sequences=True), {}),
    ("padding changes nothing", lambda: IgnoresImplicitMask(), {}),
    ("padding changes nothing", lambda: IgnoresContextMask(2, 3), {"context_shape": (3, 4, 5)}),
    ("padding changes nothing", lambda: keras.layers.Conv1D(4, 3, padding="same"), {}),
    ("the future changes nothing", lambda: LooksAhead(), {}),
    ("rows do not mix", lambda: NormalizesOverBatch(), {}),
    ("documents do not mix", lambda: IgnoresReset(4, return_sequences=True), {}),
    ("documents do not mix", lambda: SplitsAllRows(2), {}),
    ("fully masked rows are finite", lambda: NaNWhereNothingIsVisible(), {}),
    ("output shape as computed", lambda: WrongShape(4), {}),
    ("output shape as computed", lambda: WrongDtype(4), {}),
    ("gradients are finite", lambda: StopsGradient(4), {}),
    ("gradients are finite", lambda: InfiniteGradient(4), {}),
    ("config round trip", lambda: ForgetsArgument(2, 3, causal=True), {}),
    ("config round trip", lambda: ConfigIsNotJSON(4), {}),
    ("config round trip", lambda: KeepsNumbersOutsideWeights(), {}),
    ("saving round trip", lambda: KeepsNumbersOutsideWeights(), {}),
    ("saving round trip", lambda: LosesWeightInFile(4), {}),
    ("mixed precision", lambda: Overflows(), {}),
    ("mixed precision", lambda: HalfWeights(4), {}),
    ("XLA changes nothing", lambda: OtherNumbersWhenCompiled(), {}),
    ("XLA changes nothing", lambda: CannotBeCompiled(), {}),
]


@pytest.mark.parametrize("invariant, make, arguments", BAD, ids=[str(i) for i in range(len(BAD))])
def test_a_bad_layer_violates_its_invariant(invariant, make, arguments):
    layer = make()
    with pytest.raises(InvariantViolated) as violated:
        check_sequence_layer(layer, SHAPE, invariants=[invariant], **arguments)
    message = str(violated.value)
    assert repr(invariant) in message and f"`{layer.name}` ({type(layer).__name__})" in message


def test_every_invariant_has_a_bad_layer():
    assert {invariant for invariant, _, _ in BAD} == set(INVARIANTS)


def test_the_message_says_where_and_by_how_much():
    with pytest.raises(InvariantViolated, match=r"t=0.*largest difference [\d.e+]+ at .*tolerance"):
        check_sequence_layer(LooksAhead(), SHAPE, invariants=["the future changes nothing"])
    layer = StepForgetsMask(4, return_sequences=True)
    with pytest.raises(InvariantViolated, match=r"step \[0:5\] with a right-padding mask"):
        check_sequence_layer(layer, SHAPE, invariants=["stepping equals calling"])


def test_a_good_layer_violates_no_invariant():
    report = check_sequence_layer(ks.layers.GRU(4, return_sequences=True), SHAPE)
    assert isinstance(report, ConformanceReport)
    assert report.results == dict.fromkeys(INVARIANTS, "holds")


def test_the_report_prints_as_a_table():
    invariants = ["stepping equals calling", "rows do not mix"]
    lines = str(
        check_sequence_layer(keras.layers.Dense(2, name="d"), SHAPE, invariants=invariants)
    ).split("\n")
    assert lines[0] == "`d` (Dense)"
    assert [line.split("  ")[1:] for line in lines[1:]] == [
        ["stepping equals calling", "skipped: it has no `step`"],
        ["rows do not mix", *[""] * 4, "holds"],
    ]


@pytest.mark.parametrize(
    "make, skipped",
    [
        (lambda: keras.layers.LSTM(3, return_sequences=True), {"stepping", "the", "documents"}),
        (lambda: keras.layers.GRU(3, return_sequences=True), {"stepping", "the", "documents"}),
        (lambda: keras.layers.LSTM(3, return_state=True), {"stepping", "the", "documents"}),
        (lambda: keras.layers.GRU(3, go_backwards=True), {"stepping", "the", "documents"}),
        (lambda: keras.layers.Dense(3), {"stepping", "the", "fully", "documents"}),
        (lambda: keras.layers.LayerNormalization(), {"stepping", "the", "fully", "documents"}),
    ],
)
def test_layers_of_keras_can_be_checked(make, skipped):
    results = check_sequence_layer(make(), SHAPE).results
    assert {
        invariant.split()[0] for invariant, r in results.items() if r.startswith("skipped")
    } == skipped


def test_a_layer_that_claims_no_causality_is_not_asked_for_it():
    layer = LooksAhead()
    layer.causal = False
    report = check_sequence_layer(layer, SHAPE, invariants=["the future changes nothing"])
    assert report.results == {
        "the future changes nothing": "skipped: it does not claim to be causal"
    }


def test_the_weights_are_restored():
    layer = ks.layers.GRU(3, return_sequences=True)
    layer.build((None, None, 4))
    before = layer.get_weights()
    check_sequence_layer(layer, SHAPE, invariants=["rows do not mix"])
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_only_the_invariants_asked_for_are_checked():
    layer = LooksAhead()
    assert list(check_sequence_layer(layer, SHAPE, invariants=["rows do not mix"]).results) == [
        "rows do not mix"
    ]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"layer": "GRU"}, "`layer`.*'GRU'"),
        ({"invariants": ["gravity"]}, r"`invariants`.*rows do not mix.*gravity"),
        ({"invariants": "rows do not mix"}, "`invariants` must be a list"),
        ({"input_shape": (3, 5)}, r"`input_shape` must be \(B, T, D\)"),
        ({"input_shape": (3, None, 4)}, "`input_shape`.*None"),
        ({"input_shape": (1, 5, 4)}, "two rows"),
        ({"input_shape": (2, 2, 4)}, "three time steps"),
        ({"vocabulary_size": 10}, r"`input_shape` must be \(B, T\), as"),
        ({"input_shape": (2, 3), "vocabulary_size": 2}, "`vocabulary_size`"),
        ({"context_shape": (3, 4, 5)}, "`context_shape` must be None"),
        ({"layer": ks.layers.AdditiveAttention(3)}, "`context_shape` must be .* attends"),
        (
            {"layer": ks.layers.AdditiveAttention(3), "context_shape": (2, 4, 5)},
            "`context_shape` must have as many rows",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    arguments = {"layer": keras.layers.Dense(2), "input_shape": SHAPE, **arguments}
    with pytest.raises(ValueError, match=message):
        check_sequence_layer(**arguments)

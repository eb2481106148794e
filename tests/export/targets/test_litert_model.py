import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_seq
from keras_seq.export import ExportedModel, ExportError, to_litert, verify
from keras_seq.export.targets._lstm_fusion import best_steps, is_fusable
from keras_seq.layers import GRU, LSTM, GRUCell, LSTMCell


def sequence_model(kind=GRU, units=64, time=None, features=8):
    x = keras.Input((time, features), name="x")
    return keras.Model(x, kind(units, return_sequences=True, name="y")(x))


def tagger():
    """Ids in, masked where 0, two outputs by name: recurrences one on the other."""
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(30, 8, mask_zero=True)(ids)
    x = GRU(8, return_sequences=True)(LSTM(8, return_sequences=True)(x))
    return keras.Model(ids, {"tags": keras.layers.Dense(5)(x), "features": x})


@pytest.mark.parametrize(
    ("kind", "units"),
    [
        (LSTM, 64),
        (GRU, 256),
        pytest.param(LSTM, 256, marks=pytest.mark.thorough),
        pytest.param(GRU, 64, marks=pytest.mark.thorough),
    ],
)
def test_a_recurrence_of_a_hundred_steps_agrees(kind, units, tmp_path):
    path = tmp_path / "m.tflite"
    report = to_litert(sequence_model(kind, units), path, time=100)
    assert report.agrees and report.largest_difference <= 1e-5 and report.atol == 1e-5
    assert all(op.isupper() for op in report.ops)
    assert report.signatures["serve"] == f"x float32[1, 100, 8] -> y float32[1, 100, {units}]"


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_int8_weights_make_a_small_file_that_agrees_more_loosely_and_verify_finds_a_flipped_bit(
    kind, tmp_path
):
    path, model = tmp_path / "m.tflite", sequence_model(kind, 256)
    report = to_litert(model, path, time=100, quantize="dynamic_int8")
    assert report.agrees and 1e-4 < report.largest_difference < report.atol == 0.1
    assert report.size == path.stat().st_size < 1.5 * model.count_params() + 2e5
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # in a weight: the output changes by less than the tolerance
    path.write_bytes(content)
    with pytest.raises(ExportError, match="is damaged"):
        verify(path, model)


def test_the_fused_operator_starts_each_sequence_anew(tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 9, 8)).astype("float32")  # three runs of two rows
    model = sequence_model(LSTM, 16)
    report = to_litert(
        model, tmp_path / "m.tflite", time=9, batch_size=2, inputs=x, recurrence="fused"
    )
    assert report.agrees and report.inputs == 3
    assert report.ops["UNIDIRECTIONAL_SEQUENCE_LSTM"] == 1 and "WHILE" not in report.ops


@pytest.mark.parametrize("recurrence", ["loop", 4, pytest.param(13, marks=pytest.mark.thorough)])
def test_open_batch_and_time_with_masks_and_outputs_by_name(recurrence, tmp_path):
    report = to_litert(tagger(), tmp_path / "m.tflite", batch_size=None, recurrence=recurrence)
    assert report.agrees and "ids int32[-1, -1]" in report.signatures["serve"]
    assert "features float32[-1, -1, 8], tags float32[-1, -1, 5]" in report.signatures["serve"]


@pytest.mark.parametrize(
    ("recurrence", "loops"), [(4, 1), pytest.param(20, 0, marks=pytest.mark.thorough)]
)
def test_steps_that_are_left_over_follow_the_loop(recurrence, loops, tmp_path):
    model = sequence_model(LSTM, 8, time=11)
    report = to_litert(model, tmp_path / "m.tflite", recurrence=recurrence)
    assert report.agrees and report.ops.get("WHILE", 0) == loops


@pytest.mark.parametrize("recurrence", ["fused", pytest.param(None, marks=pytest.mark.thorough)])
def test_a_bidirectional_encoder_with_the_last_output_alone(recurrence, tmp_path):
    x = keras.Input((7, 4))
    y = keras.layers.concatenate([LSTM(8)(x), LSTM(8, go_backwards=True)(x)])
    report = to_litert(keras.Model(x, y), tmp_path / "m.tflite", recurrence=recurrence)
    assert report.agrees


@pytest.mark.parametrize("time", [pytest.param(4, marks=pytest.mark.thorough), None])
def test_chunk_after_chunk_gives_what_the_whole_sequence_gives(time, tmp_path):
    report = to_litert(tagger(), tmp_path / "m.tflite", time=time, streaming=True)
    assert report.agrees and report.inputs == 6
    assert report.signatures["step"].count("state_2") == 2  # h and c of the LSTM, h of the GRU


def test_a_client_streams_with_litert_and_numpy(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path, model = tmp_path / "m.tflite", sequence_model(LSTM, 8)
    to_litert(model, path, time=1, streaming=True)
    step = Interpreter(model_path=str(path)).get_signature_runner("step")
    x = np.random.default_rng(0).normal(size=(1, 5, 8)).astype("float32")
    state = {"state_0": np.zeros((1, 8), "float32"), "state_1": np.zeros((1, 8), "float32")}
    for t in range(5):
        out = step(x=x[:, t : t + 1], **state)
        state = {name: out[name] for name in state}
    np.testing.assert_allclose(out["y"][:, 0], model(x)[:, -1], atol=1e-5)


def attending():
    x = keras.Input((None, 8), name="features")
    y = GRU(8, return_sequences=True)(x)
    y = y + keras_seq.layers.MultiHeadSelfAttention(2, 4, causal=True)(y)
    return keras.Model(x, y)


def test_a_model_that_attends_streams_with_its_cache(tmp_path):
    report = to_litert(attending(), tmp_path / "m.tflite", time=2, streaming=True, max_length=6)
    assert report.agrees and report.inputs == 6


def with_resets_and_state():
    x, reset = keras.Input((None, 4), name="x"), keras.Input((None,), dtype="bool", name="reset")
    state = [keras.Input((8,), name=name) for name in "hc"]
    y = LSTM(8, return_sequences=True, name="y")(x, initial_state=state, reset=reset)
    return keras.Model([x, reset, *state], y)


def test_a_file_takes_resets_and_the_first_state(tmp_path):
    report = to_litert(with_resets_and_state(), tmp_path / "m.tflite")
    assert report.agrees and "reset bool[1, -1]" in report.signatures["serve"]


def test_a_random_mask_to_compare_on_has_values_of_both_kinds():
    calls = ExportedModel(with_resets_and_state()).calls
    calls = [call for call in calls if call["reset"].size > 1]  # a single step is among them
    assert len(calls) == 2 and all(0 < call["reset"].mean() < 1 for call in calls)


def test_the_fused_operator_is_for_plain_lstm_cells_in_float32_and_a_known_batch():
    x = tf.zeros((2, 5, 4))
    assert is_fusable(LSTMCell(8), x)
    assert not is_fusable(GRUCell(8), x)
    assert not is_fusable(LSTMCell(8, activation="relu"), x)
    assert not is_fusable(LSTMCell(8), tf.cast(x, "float16"))
    assert not is_fusable(LSTMCell(8), keras.KerasTensor((None, 5, 4)))


def test_the_loop_takes_as_many_steps_an_iteration_as_the_cache_holds_kernels():
    steps = {}
    for units in (64, 256, 1024):
        cell = LSTMCell(units)
        cell.build((None, 4))
        steps[units] = best_steps(cell, 4), best_steps(cell, 1)
    assert steps == {64: (8, 8), 256: (1, 4), 1024: (1, 1)}


def test_no_file_is_left_where_the_numbers_differ(tmp_path):
    path = tmp_path / "m.tflite"
    with pytest.raises(ExportError, match="the Keras model's own call: `y` differs"):
        to_litert(sequence_model(GRU), path, time=5, quantize="dynamic_int8", atol=1e-7)
    assert not list(tmp_path.iterdir())


def test_what_no_layer_can_fuse_is_refused(tmp_path):
    with pytest.raises(ExportError, match="recurrence='fused'"):
        to_litert(sequence_model(GRU, 4), tmp_path / "m.tflite", time=5, recurrence="fused")
    x = keras.Input((5, 4))
    mixed = keras.Model(x, keras.layers.concatenate([LSTM(8)(x), GRU(8)(x)]))
    with pytest.raises(ExportError, match="all recurrent layers"):
        to_litert(mixed, tmp_path / "m.tflite", recurrence="fused")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"quantize": "int4"}, "`quantize`"),
        ({"recurrence": 0}, "`recurrence`"),
        ({"time": 0}, "`time`"),
        ({"time": 5, "inputs": np.zeros((1, 6, 8), "float32")}, "must fit the exported shape"),
        ({"inputs": {"z": 1}}, "must hold the model's inputs"),
        ({"source_length": 5}, "`source_length` of to_litert is not for a Functional"),
        ({"prompt_length": 5}, "`prompt_length` of to_litert is not for a Functional"),
    ],
)
def test_wrong_arguments_are_named(arguments, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        to_litert(sequence_model(GRU, 4), tmp_path / "m.tflite", **arguments)


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize("model", [object(), "model.keras", Subclassed(), None, GRU(8)])
def test_what_is_no_model_with_a_graph_is_refused(model, tmp_path):
    with pytest.raises(TypeError, match=f"Received: {type(model).__name__}"):
        to_litert(model, tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "arguments", "options"),
    [
        (sequence_model, {"time": 6, "quantize": "dynamic_int8"}, {}),
        (attending, {"time": 2, "streaming": True, "max_length": 6}, {"max_length": 6}),
        pytest.param(
            *(sequence_model, {"batch_size": None, "streaming": True}, {}),
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_verify_runs_a_file_of_a_model_again(kind, arguments, options, tmp_path):
    path, model = tmp_path / "m.tflite", kind()
    first = to_litert(model, path, **arguments)
    again = verify(path, model, **options)
    assert again.agrees and again.atol == first.atol and again.values == first.values
    model.set_weights([2 * w for w in model.get_weights()])
    with pytest.raises(ExportError, match="does not agree with the Keras model's own call"):
        verify(path, model, **options)
    with pytest.raises(ExportError, match="not exported from this model"):
        verify(path, tagger())
    assert path.exists()


class FromOnes(GRU):
    def get_initial_state(self, batch_size, max_length=None):
        return [state + 1 for state in super().get_initial_state(batch_size, max_length)]


def test_a_stream_that_does_not_begin_with_zeros_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs states that begin with zeros"):
        to_litert(sequence_model(FromOnes, 4), tmp_path / "m.tflite", time=2, streaming=True)
    assert not list(tmp_path.iterdir())


def test_models_that_cannot_be_exported_are_named(tmp_path):
    path = tmp_path / "m.tflite"
    x = keras.Input((5, 4), batch_size=1)
    with pytest.raises(ValueError, match="stateful layers cannot"):
        to_litert(keras.Model(x, GRU(4, stateful=True)(x)), path)
    with pytest.raises(ValueError, match="return_sequences=True"):
        to_litert(keras.Model(x, GRU(4)(x)), path, streaming=True)
    with pytest.raises(ValueError, match="`batch_size`"):
        to_litert(keras.Model(x, GRU(4)(x)), path, batch_size=2)

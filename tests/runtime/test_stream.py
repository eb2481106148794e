import keras
import numpy as np
import pytest

import keras_seq
from keras_seq.export import to_litert
from keras_seq.runtime import LiteRTStream

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    x = keras.Input((None, 3), name="x")
    y = keras_seq.layers.LSTM(5, return_sequences=True)(x)
    y = keras_seq.layers.MultiHeadSelfAttention(1, 4, causal=True)(y)
    return keras.Model(x, keras.layers.Dense(2, name="y")(y))


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "stream.tflite"
    to_litert(model, path, time=2, streaming=True, max_length=6)
    return path


def x(seed=0):
    return np.random.default_rng(seed).normal(size=(1, 6, 3)).astype("float32")


def test_the_chunks_of_a_stream_are_one_call_of_the_model(model, path):
    stream = LiteRTStream(path)
    parts = [stream(x()[:, i : i + 2]) for i in (0, 2, 4)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), model(x()), atol=1e-5)
    assert stream.position == stream.max_length == 6


def test_past_the_end_there_is_an_error_until_it_is_reset(model, path):
    stream = LiteRTStream(path)
    for i in (0, 2, 4):
        stream(x()[:, i : i + 2])
    with pytest.raises(ValueError, match=r"at most max_length=6 time steps. Received: 2 after 6"):
        stream(x()[:, :2])
    stream.reset()
    np.testing.assert_allclose(stream(x(1)[:, :2]), model(x(1))[:, :2], atol=1e-5)


@pytest.mark.parametrize(
    "wrong", [np.ones((1, 3, 3)), np.ones((2, 2, 3)), np.ones((1, 2, 3), "U1")]
)
def test_another_shape_or_type_is_refused_and_changes_nothing(model, path, wrong):
    stream = LiteRTStream(path)
    with pytest.raises(ValueError, match=r"`x` must be float32 of shape \[1, 2, 3\]"):
        stream(wrong)
    np.testing.assert_allclose(stream(x()[:, :2]), model(x())[:, :2], atol=1e-5)


def test_verify_knows_the_largest_length_from_the_file(model, path):
    assert keras_seq.export.verify(path, model).agrees


def test_what_is_no_file_for_streaming_is_refused(model, path, tmp_path):
    with pytest.raises(ValueError, match="no file"):
        LiteRTStream(tmp_path / "nothing.tflite")
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(ValueError, match=r"must be a LiteRT file"):
        LiteRTStream(tmp_path / "text.tflite")
    whole = tmp_path / "whole.tflite"
    to_litert(model, whole, time=2)
    with pytest.raises(ValueError, match=r"must have the signature 'step'. It has \['serve'\]"):
        LiteRTStream(whole)

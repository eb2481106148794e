"""On other backends, or without TensorFlow, what needs it says so."""

import keras
import pytest

import keras_seq
from tests.generation.generation_models import sources, translator


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="is about other backends")
def test_export_says_that_it_needs_tensorflow(tmp_path):
    generator = keras_seq.generation.Generator(
        translator("gru"), max_length=4, start_token=2, end_token=3
    )
    assert generator.generate(sources()).tokens.shape == (5, 4)
    with pytest.raises(keras_seq.export.ExportError, match="TensorFlow"):
        keras_seq.export.to_litert(generator, tmp_path / "m.tflite", source_length=7)
    with pytest.raises(keras_seq.export.ExportError, match="TensorFlow"):
        keras_seq.export.to_saved_model(None, tmp_path / "1")


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="is about other backends")
def test_resume_says_that_it_needs_tensorflow(tmp_path):
    with pytest.raises(NotImplementedError, match="needs the TensorFlow backend"):
        keras_seq.training.resume(None, None, tmp_path)


def test_data_says_that_it_needs_tensorflow(pytestconfig):
    if not pytestconfig.getoption("--without-tensorflow"):
        pytest.skip("is about machines without TensorFlow")
    with pytest.raises(ImportError, match="keras_seq.data needs TensorFlow"):
        _ = keras_seq.data

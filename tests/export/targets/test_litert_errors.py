"""What the converter cannot do is said in three lines, with the layer and the way out."""

import keras
import pytest
from keras import layers, ops

from keras_seq.export import ExportError, to_litert
from keras_seq.export._process import ScriptError
from keras_seq.export.targets._litert_errors import conversion_error


class InverseError(layers.Layer):
    """The inverse of the error function, which LiteRT lacks."""

    def call(self, x):
        return ops.erfinv(ops.tanh(x))


def refused(model, path, **options):
    with pytest.raises(ExportError) as caught:
        to_litert(model, path, **options)
    return str(caught.value)


def test_an_operation_that_litert_lacks_is_named_with_its_layer(tmp_path):
    x = keras.Input((3, 4))
    model = keras.Model(x, InverseError(name="inverse")(layers.Dense(4)(x)))
    text = refused(model, tmp_path / "model.tflite")
    assert len(text.splitlines()) == 3 and max(map(len, text.splitlines())) < 160
    assert "`inverse` (InverseError)" in text and ": Erfinv.\n" in text
    assert "export with to_saved_model" in text and "batch_size" not in text
    assert not list(tmp_path.iterdir())


def test_an_open_batch_that_a_loop_of_keras_cannot_take_is_told_to_be_closed(tmp_path):
    model = keras.Sequential([keras.Input((None, 4)), layers.LSTM(5, name="recurrent")])
    text = refused(model, tmp_path / "model.tflite", batch_size=None)
    assert len(text.splitlines()) == 3
    assert "`recurrent` (LSTM)" in text and "Give `batch_size` and `time`" in text
    assert to_litert(model, tmp_path / "model.tflite").agrees


def test_a_crash_without_a_word_still_says_a_way_out():
    failure = ScriptError("Could not convert: the process crashed with SIGSEGV.", "")
    text = conversion_error(failure, [], open_shapes=True)
    assert text.startswith("Could not convert: the process crashed with SIGSEGV.\n")
    assert len(text.splitlines()) == 2 and "to_saved_model" in text

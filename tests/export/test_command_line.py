import re

import keras
import pytest
import tensorflow as tf

import keras_seq
from keras_seq.export import to_litert
from keras_seq.export.__main__ import main
from keras_seq.layers import GRU


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with a model and the file of it."""
    folder = tmp_path_factory.mktemp("exported")
    keras.utils.set_random_seed(0)
    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, GRU(8, return_sequences=True, name="y")(x))
    to_litert(model, folder / "m.tflite", time=5)
    model.save(folder / "m.keras")
    return folder


def rows(printed):
    """The table as a dict."""
    lines = printed.splitlines()
    return lines[0], dict(line.strip().split("  ", 1) for line in lines[1:])


def test_a_litert_file_is_described(exported, capsys):
    assert main([str(exported / "m.tflite")]) == 0
    name, table = rows(capsys.readouterr().out)
    assert name == "LiteRT" and table["not built in"].strip() == "none"
    assert table["signature serve"].strip() == "x float32[1, 5, 4] -> y float32[1, 5, 8]"
    assert table["latency of serve, random inputs"].endswith(" ms")
    assert {"size", "operators"} <= set(table) and "inputs compared" not in table


def test_with_its_model_a_file_is_verified(exported, capsys):
    assert main([str(exported / "m.tflite"), "--model", str(exported / "m.keras")]) == 0
    assert "largest difference" in capsys.readouterr().out
    other = keras.saving.load_model(exported / "m.keras")
    other.set_weights([w + 1 for w in other.get_weights()])
    other.save(exported / "other.keras")
    assert main([str(exported / "m.tflite"), "--model", str(exported / "other.keras")]) == 1
    assert "does not agree with the Keras model's own call" in capsys.readouterr().err


class Foreign(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 3), name="x")])
    def double(self, x):
        return {"y": 2 * x}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="texts")])
    def numbers(self, texts):
        return {"n": tf.strings.to_number(texts)}


def test_the_signatures_of_a_stream_are_described_and_timed(tmp_path, capsys):
    model = keras_seq.models.seq2seq_rnn(9, 9, 4, 4)
    made = keras_seq.generation.Generator(model, max_length=3, start_token=2)
    path = tmp_path / "m.tflite"
    keras_seq.export.to_litert(made, path, source_length=4, streaming=True)
    main([str(path)])
    printed = capsys.readouterr().out
    assert re.search(r"signature step +\d+ states \(.* KB\) -> finished", printed)
    assert re.search(r"latency of step, random inputs +[\d.]+ ms", printed)


def test_a_savedmodel_that_is_not_ours_is_described_with_all_its_signatures(tmp_path, capsys):
    module = Foreign()
    signatures = {"double": module.double, "numbers": module.numbers}
    tf.saved_model.save(module, tmp_path / "1", signatures=signatures)
    assert main([str(tmp_path / "1")]) == 0
    name, table = rows(capsys.readouterr().out)
    assert name == "SavedModel" and table["not built in"].strip() == "none"
    assert table["signature double"].strip() == "x float32[None, 3] -> y float32[None, 3]"
    assert table["latency of double, random inputs"].endswith(" ms")
    assert "random inputs do not run" in table["latency of numbers, random inputs"]


def test_a_litert_file_without_signatures_is_described(tmp_path, capsys):
    function = tf.function(lambda x: tf.nn.relu(x), input_signature=[tf.TensorSpec((2, 3))])
    convert = tf.lite.TFLiteConverter.from_concrete_functions
    content = convert([function.get_concrete_function()]).convert()
    (tmp_path / "m.tflite").write_bytes(content)
    assert main([str(tmp_path / "m.tflite")]) == 0
    _, table = rows(capsys.readouterr().out)
    assert table["latency of (none), random inputs"].endswith(" ms")


def test_what_cannot_be_read_gives_one_line_and_exit_code_one(exported, tmp_path, capsys):
    (tmp_path / "text.txt").write_text("no model")
    (tmp_path / "empty.tflite").write_bytes(b"")
    (tmp_path / "header.tflite").write_bytes(b"\x1c\0\0\0TFL3" + b"\xff" * 100)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"\xff" * 100)
    damaged = bytearray((exported / "m.tflite").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged.tflite").write_bytes(damaged)
    lines = {}
    for name in ("none", "text.txt", "empty.tflite", "header.tflite", "1", "damaged.tflite"):
        assert main([str(tmp_path / name)]) == 1
        printed = capsys.readouterr()
        assert not printed.out and printed.err.count("\n") == 1
        lines[name] = printed.err
    assert "There is nothing at" in lines["none"]
    assert "neither a LiteRT file nor a SavedModel" in lines["text.txt"]
    assert "Could not read the LiteRT" in lines["empty.tflite"]
    assert "Could not read the LiteRT" in lines["header.tflite"]
    assert "Could not read the SavedModel" in lines["1"]
    assert "is damaged" in lines["damaged.tflite"]
    (tmp_path / "m.keras").write_text("no model")
    assert main([str(exported / "m.tflite"), "--model", str(tmp_path / "m.keras")]) == 1
    assert "cannot be loaded" in capsys.readouterr().err

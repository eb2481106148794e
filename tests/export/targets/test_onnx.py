import importlib.util

import keras
import numpy as np
import pytest
from keras import layers

from keras_seq import models
from keras_seq.export import ExportError, register_onnx, to_onnx, verify
from keras_seq.layers import (
    GRU,
    LSTM,
    RNN,
    AdditiveAttention,
    CausalWindow,
    DotAttention,
    FeedForward,
    LayerNormLSTMCell,
    MultiHeadSelfAttention,
    RMSNormalization,
    SimpleRNN,
)
from tests.generation.generation_models import hybrid, shaken, translator

needs_onnx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")),
    reason="ONNX Runtime is not installed: pip install onnx onnxruntime",
)


def embedded(mask_zero=True, width=6):
    ids = keras.Input((None,), dtype="int32", name="ids")
    return ids, layers.Embedding(9, width, mask_zero=mask_zero)(ids)


def ids_with_holes():
    """Ids of which a third is padding, anywhere in a row, and a row of padding alone."""
    ids = np.random.default_rng(0).integers(0, 3, size=(8, 7)).astype("int32")
    ids[0] = 0
    return ids


def all_recurrences():
    ids, x = embedded()
    sequences, reverse = {"return_sequences": True}, {"go_backwards": True}
    outputs = {
        "lstm": LSTM(4, **sequences)(x),
        "keras_lstm": layers.LSTM(4, activation="relu", **sequences)(x),
        "gru": GRU(3)(GRU(3, reset_after=False, **sequences)(x)),
        "keras_gru": layers.GRU(3, use_bias=False)(layers.GRU(3, **sequences)(x)),
        "rnn": SimpleRNN(3, **sequences)(x),
        "keras_rnn": layers.SimpleRNN(3)(x),
        "backwards": LSTM(4, **sequences, **reverse)(GRU(3, **sequences, **reverse)(x)),
        "keras_backwards": layers.GRU(4, **sequences, **reverse)(x),
        "both": layers.Bidirectional(layers.LSTM(4, **sequences), name="both")(x),
        "both_last": layers.Bidirectional(GRU(3), merge_mode="ave", name="both_last")(x),
    }
    return shaken(keras.Model(ids, outputs))


@needs_onnx
def test_recurrences_are_onnx_operators_and_skip_padding_anywhere_in_a_row(tmp_path):
    report = to_onnx(all_recurrences(), tmp_path / "m.onnx", inputs=ids_with_holes())
    assert report.agrees and report.atol == 1e-4 and report.largest_difference < 1e-5
    counts = {name: report.ops[name] for name in ("LSTM", "GRU", "RNN")}
    assert counts == {"LSTM": 5, "GRU": 8, "RNN": 2} and "Loop" not in report.ops
    line = report.signatures["run"]
    assert line.startswith("ids int32['batch', 'ids_1'] -> ")
    assert "keras_lstm float['batch', 'keras_lstm_1', 4]" in line and report.latency > 0


@needs_onnx
def test_states_go_in_and_out_also_of_rows_that_are_all_padding(tmp_path):
    ids, x = embedded()
    h, c = keras.Input((4,), name="h"), keras.Input((4,), name="c")
    y, *state = LSTM(4, return_sequences=True, return_state=True)(x, initial_state=[h, c])
    z, last = layers.GRU(4, return_sequences=True, return_state=True)(x, initial_state=[h])
    outputs = {"y": y, "h": state[0], "c": state[1], "z": z, "last": last}
    model = shaken(keras.Model({"ids": ids, "h": h, "c": c}, outputs))
    rng = np.random.default_rng(0)
    inputs = {"ids": ids_with_holes(), **{n: rng.normal(size=(8, 4)) for n in ("h", "c")}}
    with pytest.raises(ValueError, match=r"Received: outputs .'c', 'h'."):
        to_onnx(model, tmp_path / "m.onnx", inputs=inputs)
    outputs = {f"{name}_out": value for name, value in outputs.items()}
    model = keras.Model({"ids": ids, "h": h, "c": c}, outputs)
    assert to_onnx(model, tmp_path / "m.onnx", inputs=inputs).agrees


def pointwise():
    a, b = keras.Input((None, 4), name="a"), keras.Input((None, 4), name="b")
    x = layers.Concatenate()([a, layers.Subtract()([a, b])])
    x = layers.Conv1D(6, 3, padding="causal", activation="gelu")(x)
    x = layers.BatchNormalization()(layers.LayerNormalization()(x))
    x = layers.LeakyReLU()(layers.Dropout(0.5)(layers.Dense(4, activation="silu")(x)))
    x = RMSNormalization()(FeedForward(6, activation="gelu_tanh", gated=True)(x))
    x = CausalWindow(3)(x)[:, :, 1:9:2]
    x = keras.ops.softmax(2 * x - keras.ops.abs(b) / 3 + x**2)
    pooled = keras.ops.max(x, axis=1) + layers.GlobalAveragePooling1D()(x)
    flat = layers.Flatten()(layers.Permute((2, 1))(layers.RepeatVector(3)(pooled)))
    return keras.Model({"a": a, "b": b}, {"x": x, "last": x[:, -1], "flat": flat})


@needs_onnx
def test_layers_and_operations_act_as_in_keras(tmp_path):
    report = to_onnx(shaken(pointwise()), tmp_path / "m.onnx")
    assert report.agrees and report.largest_difference < 1e-5


def attentions():
    ids, x = embedded()
    y = MultiHeadSelfAttention(4, 2, causal=True, num_key_value_heads=2, sliding_window=3)(x)
    y = MultiHeadSelfAttention(2, 4, positions="alibi")(y)
    y = AdditiveAttention(5)(DotAttention(use_scale="sqrt")(y, x), x)
    return keras.Model(ids, y)


MODELS = {
    "transformer": lambda: models.transformer(
        20, 18, 32, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32
    ),
    "attentions": attentions,
    "rotary": lambda: models.decoder_only_transformer(
        20, num_layers=1, num_heads=2, hidden_dim=8, positions="rotary", normalization="rms"
    ),
    "seq2seq": lambda: translator("lstm"),
    "hybrid": hybrid,
    "tied": lambda: models.language_model(20, cell="gru", hidden_dim=8, tie_embeddings=True),
    "tagger": lambda: models.sequence_tagger(3, 20, hidden_dim=8, embedding_dim=8),
    "classifier": lambda: models.sequence_classifier(3, 20, hidden_dim=8, pooling="mean"),
    "attending classifier": lambda: models.sequence_classifier(
        3, 20, cell="transformer", hidden_dim=8, num_heads=2
    ),
    "of frames": lambda: models.sequence_tagger(3, image_shape=(16, 16, 1), hidden_dim=8),
    "text to image": lambda: models.text_to_image(
        20, 30, 5, num_layers=1, hidden_dim=8, num_heads=2
    ),
    "forecaster": lambda: models.forecaster(32, 3, 2, cell="transformer"),
    "vision": lambda: models.vision_transformer(
        (8, 8, 1), 3, num_layers=1, num_heads=2, hidden_dim=8
    ),
    "captioner": lambda: models.captioner(20, (16, 16, 1), filters=(4, 4), hidden_dim=8),
    "detector": lambda: models.set_detector((16, 16, 1), 3, num_heads=2, hidden_dim=8),
    "autoregressive": lambda: models.autoregressive(20, 2),
}
FIRST = "attentions"


@needs_onnx
@pytest.mark.parametrize(
    "name", [n if n == FIRST else pytest.param(n, marks=pytest.mark.thorough) for n in MODELS]
)
def test_models_agree_padding_included(name, tmp_path):
    assert to_onnx(shaken(MODELS[name]()), tmp_path / "m.onnx").largest_difference < 1e-4


@needs_onnx
def test_int8_makes_the_file_smaller_and_verify_finds_other_weights(tmp_path):
    x = keras.Input((5, 32), name="x")
    model = keras.Model(x, LSTM(64, return_sequences=True, name="y")(x))
    report = to_onnx(model, tmp_path / "m.onnx", quantization="int8")
    assert report.ops["DynamicQuantizeLSTM"] == 1 and report.atol == 0.1
    weights = sum(w.size for w in model.get_weights())
    assert report.size < 1.5 * weights  # and not 4
    model.set_weights([-3 * w for w in model.get_weights()])
    with pytest.raises(ExportError, match="does not agree"):
        verify(tmp_path / "m.onnx", model)
    path = tmp_path / "m.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ExportError, match="is damaged"):
        verify(tmp_path / "m.onnx", model)


class Halve(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x):
        return x / 2


@needs_onnx
def test_a_layer_of_the_users_own_is_refused_by_name_until_it_is_registered(tmp_path):
    ids, x = embedded()
    model = shaken(keras.Model(ids, GRU(3)(Halve(name="half")(x))))
    with pytest.raises(
        ValueError, match=r"`half` .Halve.: no function of register_onnx.*to_litert"
    ):
        to_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())

    @register_onnx(Halve)
    def emit(graph, layer, x):
        return graph.op("Mul", x, 0.5)

    assert to_onnx(model, tmp_path / "m.onnx").agrees  # its mask is passed on


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: RNN(LayerNormLSTMCell(3), name="own")(x), "no operator for its cell LayerNorm"),
        (lambda x: LSTM(3, zoneout=0.1, name="own")(x), "no zoneout"),
        (lambda x: GRU(3, activation="elu", name="own")(x), "ONNX's GRU has no activation elu"),
        (lambda x: CausalWindow(2, name="own")(x), "it has a mask"),
        (lambda x: layers.UnitNormalization(name="own")(x), "no function of register_onnx"),
    ],
)
def test_what_onnx_has_not_is_named(make, message, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    pytest.importorskip("onnx")
    ids, x = embedded()
    with pytest.raises(ValueError, match=f"to_onnx cannot write `own` .*{message}"):
        to_onnx(keras.Model(ids, make(x)), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_without_onnx_runtime_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'onnxruntime.*pip install "keras_seq\[onnx\]"'):
        to_onnx(None, tmp_path / "m.onnx")
    with pytest.raises(TypeError, match="`layer_class` of register_onnx must be"):
        register_onnx(len)

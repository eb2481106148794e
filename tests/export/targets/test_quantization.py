import keras
import numpy as np
import pytest

import keras_seq
from keras_seq.export import ExportError, to_litert, verify
from keras_seq.generation import Generator
from tests.dtype_policy import dtype_policy

pytest.importorskip("ai_edge_litert")


def classifier(kind="gru", size=64):
    keras.utils.set_random_seed(0)
    ids = keras.Input((12,), dtype="int32", name="ids")
    x = keras_seq.layers.PositionalEmbedding(500, size, 12)(ids)
    if kind == "transformer":
        x = keras_seq.layers.TransformerEncoderBlock(2 * size, 2)(x)
        x = keras.layers.GlobalAveragePooling1D()(x)
    else:
        x = {"gru": keras_seq.layers.GRU, "lstm": keras_seq.layers.LSTM}[kind](size)(x)
    return keras.Model(ids, keras.layers.Dense(2, name="logits")(x))


def translator(size=64):
    keras.utils.set_random_seed(0)
    model = keras_seq.models.seq2seq_rnn(300, 300, size, size)
    return Generator(model, max_length=8, start_token=2, end_token=3)


IDS = np.random.default_rng(0).integers(1, 500, (60, 12))


@pytest.mark.parametrize("kind", ["gru", pytest.param("lstm", marks=pytest.mark.thorough)])
def test_full_int8_computes_with_integers_in_measured_ranges(kind, tmp_path):
    path, model = tmp_path / "m.tflite", classifier(kind)
    report = to_litert(model, path, quantize="int8", representative_data=IDS)
    assert report.agrees and 1e-3 < report.largest_difference and report.atol == 0.2
    assert report.size < 0.6 * 4 * model.count_params() and "WHILE" not in report.ops
    assert verify(path, model, IDS).atol == 0.2


def test_full_int8_of_a_stream_measures_its_states_too(tmp_path):
    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, keras_seq.layers.GRU(16, return_sequences=True, name="y")(x))
    data = np.random.default_rng(0).normal(size=(9, 12, 4)).astype("float32")
    options = {"time": 3, "streaming": True, "quantize": "int8", "representative_data": data}
    assert to_litert(model, tmp_path / "m.tflite", **options).inputs == 6


def test_full_int8_says_where_it_cannot_be(tmp_path):
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(500, 8, mask_zero=True)(ids)
    attends = keras.Model(ids, keras_seq.layers.TransformerEncoderBlock(16, 2)(x))
    recurs = keras.Model(ids, keras_seq.layers.GRU(8)(x))
    options = {"quantize": "int8", "representative_data": np.where(IDS % 3, IDS, 0)}
    with pytest.raises(ExportError, match="cannot convert the loop .*\n.*\nGive `time`, and no"):
        to_litert(recurs, tmp_path / "m.tflite", **options)
    with pytest.raises(ExportError, match="masked ones above all.\nUse quantize='dyn"):
        to_litert(attends, tmp_path / "m.tflite", time=12, **options)
    assert not list(tmp_path.iterdir())


def sizes(model, folder, kinds, **options):
    """Dict from each kind of quantization to the report of its file."""
    return {
        kind: to_litert(model, folder / f"{kind}.tflite", quantize=kind, **options)
        for kind in (None, *kinds)
    }


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer"])
def test_files_of_classifiers_are_as_small_as_their_numbers(kind, tmp_path):
    reports = sizes(classifier(kind), tmp_path, ("float16", "dynamic_int8"))
    assert reports["float16"].size < 0.65 * reports[None].size
    assert reports["dynamic_int8"].size < 0.45 * reports[None].size
    assert reports["dynamic_int8"].largest_difference > reports[None].largest_difference


def test_a_quantized_generator_says_how_many_tokens_are_those_of_the_model(tmp_path):
    generator = translator()
    reports = sizes(generator, tmp_path, ("float16", "dynamic_int8"), source_length=6)
    assert reports[None].tokens_equal == reports[None].tokens
    for kind in ("float16", "dynamic_int8"):
        assert reports[kind].size < 0.75 * reports[None].size
        assert 0.5 * reports[kind].tokens <= reports[kind].tokens_equal <= reports[kind].tokens
        assert verify(tmp_path / f"{kind}.tflite", generator).agrees


def test_an_embedding_that_is_tied_to_the_logits_is_stored_once(tmp_path):
    model = keras_seq.models.decoder_only_transformer(
        300, sequence_length=8, num_layers=1, num_heads=2, hidden_dim=32, tie_embeddings=True
    )
    report = to_litert(model, tmp_path / "m.tflite", time=5, quantize="dynamic_int8")
    assert report.ops["EMBEDDING_LOOKUP"] == 1 and "DEQUANTIZE" not in report.ops


def test_too_few_equal_tokens_are_refused(tmp_path):
    generator = translator()
    generator.model.set_weights([8 * w for w in generator.model.get_weights()])
    path = tmp_path / "m.tflite"
    options = {"source_length": 6, "quantize": "dynamic_int8", "atol": 1e6}
    report = to_litert(generator, path, min_agreement=0.01, **options)
    assert report.tokens_equal < report.tokens
    with pytest.raises(ExportError, match="tokens are equal"):
        to_litert(generator, tmp_path / "n.tflite", min_agreement=0.99, **options)
    assert not (tmp_path / "n.tflite").exists()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_models_in_half_precision_are_exported_from_their_float32_weights(policy, tmp_path):
    with dtype_policy(policy):
        half, generator = classifier(), translator(16)
    report = to_litert(half, tmp_path / "half.tflite")
    assert report.largest_difference < 1e-5
    full = classifier()
    full.set_weights(half.get_weights())
    assert verify(tmp_path / "half.tflite", full).agrees
    assert to_litert(generator, tmp_path / "generator.tflite", source_length=6).agrees


def test_what_does_not_fit_is_refused_by_name(tmp_path):
    wrong = [
        (
            classifier(),
            {"quantize": "int4"},
            "`quantize` of to_litert must be one of None, 'float16', 'dynamic_int8', 'int8'",
        ),
        (classifier(), {"quantize": "int8"}, "'int8'` of to_litert needs `representative_data`"),
        (classifier(), {"representative_data": IDS}, "is for `quantize='int8'` alone"),
        (translator(), {"quantize": "int8", "source_length": 6}, "is not for a Generator"),
        (classifier(), {"min_agreement": 0.5}, "`min_agreement` of to_litert is not for"),
    ]
    for model, options, message in wrong:
        with pytest.raises(ValueError, match=message):
            to_litert(model, tmp_path / "m.tflite", **options)
    assert not list(tmp_path.iterdir())

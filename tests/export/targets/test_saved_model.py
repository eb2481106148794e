import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq.data import train_tokenizer
from keras_seq.export import ExportedModel, ExportError, to_saved_model, verify
from keras_seq.generation import Generator, TextGenerator
from keras_seq.layers import GRU, LSTM
from tests.export.wrong_step import step_without_state
from tests.generation.generation_models import hybrid, sources, translator

SOURCES = ["one two three", "two three", "이천 년 삼월", "eins zwei", "three one", "zwei"]


@pytest.fixture
def translate():
    return new_translate()


def new_translate():
    """The same text generator at each call: KerasHub 0.25's do not outlive `clear_session`."""
    keras.utils.set_random_seed(0)
    source = train_tokenizer(SOURCES, kind="character", add_end=True)
    target = train_tokenizer(["1 2 3", "2000-03", "일 이"], kind="character")
    # 64 wide: kernels of oneDNN for real widths run, too.
    model = translator("gru", source.vocabulary_size(), target.vocabulary_size(), width=64)
    generator = Generator(model, max_length=8, start_token=2, end_token=3)
    return TextGenerator(generator, source, target, source_length=16)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "name" / "1"
    return path, to_saved_model(new_translate(), path, texts=SOURCES)


def test_the_report_says_that_the_artifact_agrees(exported):
    path, report = exported
    assert report.agrees and report.inputs == len(SOURCES)
    assert report.largest_difference < 1e-4
    assert "texts string[None]" in report.signatures["serving_default"]
    assert (path / "saved_model.pb").exists() and "SavedModel" in str(report)


def test_it_runs_in_a_process_that_never_imports_keras_seq(exported, translate):
    path, _ = exported
    program = f"""
import json, sys
import tensorflow as tf, tensorflow_text
serve = tf.saved_model.load({str(path)!r}).signatures["serving_default"]
text = [t.decode() for t in serve(texts=tf.constant({SOURCES!r}))["text"].numpy()]
errors = []
for bad in ([""], ["one", "  "], ["one two three one two three"]):
    try:
        serve(texts=tf.constant(bad))
    except tf.errors.InvalidArgumentError as error:
        errors.append(str(error))
assert "keras_seq" not in sys.modules
print(json.dumps([text, errors]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    text, errors = json.loads(done.stdout.splitlines()[-1])
    assert text == translate(SOURCES)
    assert ["must not be empty" in e for e in errors] == [True, True, False]
    assert "at most 16 tokens" in errors[2]


def test_verify_finds_other_weights(exported, translate):
    path, _ = exported
    assert verify(path, translate, SOURCES[:2]).agrees
    weights = translate.generator.model.get_weights()
    translate.generator.model.set_weights([w[..., ::-1] for w in weights])
    with pytest.raises(ExportError, match="does not agree"):
        verify(path, translate, SOURCES)


def test_a_model_that_steps_to_other_numbers_than_it_calls_is_refused(
    translate, tmp_path, monkeypatch
):
    monkeypatch.setattr(GRU, "step", step_without_state)  # after the Stepper has checked itself
    with pytest.raises(ExportError, match="does not agree with the model's own call"):
        to_saved_model(translate, tmp_path / "1", texts=SOURCES)
    assert not list(tmp_path.iterdir())


def test_texts_that_cannot_be_compared_on_are_refused_before_any_work(translate, tmp_path):
    with pytest.raises(ValueError, match="at 1"):
        to_saved_model(translate, tmp_path / "1", texts=["one", ""])
    with pytest.raises(ValueError, match=r"`texts\[1\]` must be text that UTF-8 can encode"):
        to_saved_model(translate, tmp_path / "1", texts=["one", "\ud800"])
    assert not list(tmp_path.iterdir())


def tagger():
    """Ids in, masked where 0, two outputs by name."""
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(30, 8, mask_zero=True)(ids)
    x = GRU(8, return_sequences=True)(LSTM(8, return_sequences=True)(x))
    return keras.Model(ids, {"tags": keras.layers.Dense(5)(x), "features": x})


def test_a_model_takes_any_batch_and_time_and_gives_its_outputs_by_name(tmp_path):
    model = tagger()
    report = to_saved_model(model, tmp_path / "tagger" / "1")
    assert report.agrees and report.values == 13 * (13 + 2 * 5 + 13 + 1) and report.atol == 1e-5
    line = report.signatures["serving_default"]
    assert line == (
        "ids int32[None, None] -> features float32[None, None, 8], tags float32[None, None, 5]"
    )
    serve = tf.saved_model.load(tmp_path / "tagger" / "1").signatures["serving_default"]
    ids = np.random.default_rng(0).integers(0, 30, size=(4, 7)).astype("int32")
    np.testing.assert_allclose(serve(ids=tf.constant(ids))["tags"], model(ids)["tags"], atol=1e-5)


def test_a_model_in_bfloat16_is_compared_on_the_users_inputs_and_again_later(tmp_path):
    x = keras.Input((3, 4), batch_size=2, name="x")
    y = keras.layers.Dense(5, dtype="mixed_bfloat16", name="y")(keras.layers.Flatten()(x))
    model = keras.Model(x, y)
    inputs = np.random.default_rng(0).normal(size=(6, 3, 4))
    report = to_saved_model(model, tmp_path / "1", inputs=inputs, atol=1e-2)
    assert report.agrees and report.inputs == 3 and report.values == 30
    assert report.signatures["serving_default"] == "x float32[2, 3, 4] -> y bfloat16[2, 5]"
    model.set_weights([-w for w in model.get_weights()])
    with pytest.raises(ExportError, match="`y` differs by"):
        verify(tmp_path / "1", model, inputs, atol=1e-2)


def test_a_signature_for_xla_that_gives_other_numbers_is_refused(tmp_path, monkeypatch):
    def wrong(exported):
        return lambda **inputs: {name: y + 1 for name, y in exported(**inputs).items()}

    monkeypatch.setattr(ExportedModel, "jit_compiled", wrong)
    with pytest.raises(ExportError, match="The signature serving_xla of the SavedModel does not"):
        to_saved_model(tagger(), tmp_path / "1", jit_compile=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_a_text_generator_runs_compiled_by_xla(translate, tmp_path):
    report = to_saved_model(translate, tmp_path / "1", texts=SOURCES, jit_compile=True)
    assert report.agrees and report.xla_latency > 0


def test_a_generator_takes_ids_of_any_width_and_gives_tokens_and_scores(tmp_path):
    generator = Generator(translator("gru"), max_length=6, start_token=2, end_token=3)
    report = to_saved_model(generator, tmp_path / "1")
    assert report.agrees and report.inputs == 64 + 8 and report.tokens > 64  # of two widths
    assert report.signatures["serving_default"] == (
        "source int32[None, None] -> scores float32[None], tokens int32[None, 6]"
    )
    serve = tf.saved_model.load(tmp_path / "1").signatures["serving_default"]
    for ids in (sources(5, 7), sources(1, 11)):
        got, want = serve(source=tf.constant(ids)), generator.generate(ids)
        np.testing.assert_array_equal(got["tokens"], want.tokens)
        np.testing.assert_allclose(got["scores"], want.scores, atol=1e-4)


def test_a_generator_goes_on_from_prompts_of_different_lengths(tmp_path):
    generator = Generator(hybrid(), max_length=3, end_token=3)
    prompt = [[5, 6, 7, 8], [9], [4, 10], [11, 12, 13]]
    report = to_saved_model(generator, tmp_path / "1", prompt_length=4, prompt=prompt)
    assert report.agrees and report.inputs == 4
    assert report.signatures["serving_default"] == (
        "prompt int32[None, 4] -> scores float32[None], tokens int32[None, 7]"
    )


@pytest.mark.thorough
def test_a_seed_draws_in_a_saved_model_what_it_draws_in_keras(tmp_path):
    path = tmp_path / "1"
    made = Generator(translator("gru"), 8, start_token=2, end_token=3, sampler="random")
    report = to_saved_model(made, path, inputs=sources(rows=30))
    assert report.agrees and "seed int32[2]" in report.signatures["serving_default"]
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    ids, seed = sources(rows=3), tf.constant([7, 1])
    expected = made.generate(ids, seed=7 + 2**32).tokens
    np.testing.assert_array_equal(serve(source=ids, seed=seed)["tokens"], expected)
    assert verify(path, made, sources(rows=4)).agrees


def test_a_generator_with_prompts_is_verified_again(tmp_path):
    generator = Generator(hybrid(), max_length=3, end_token=3)
    to_saved_model(generator, tmp_path / "1", prompt_length=4)
    assert verify(tmp_path / "1", generator, prompt=[[5, 6, 7, 8], [9]]).agrees


def test_what_cannot_be_exported_is_refused_before_any_work(translate, tmp_path):
    class Subclass(keras.Model):
        pass

    for other in (None, "model", GRU(3), Subclass()):
        with pytest.raises(TypeError, match=f"Received: {type(other).__name__}"):
            to_saved_model(other, tmp_path / "1")
    wrong = [
        (translate, {"inputs": [[1]]}, "`inputs` of to_saved_model is not for a TextGenerator"),
        (translate.generator, {"texts": ["a"]}, "`texts` of to_saved_model is not for a Generator"),
        (tagger(), {"prompt_length": 3}, "is not for a Functional, which takes .'inputs'."),
        (tagger(), {"inputs": np.zeros((2, 3, 4), "int32")}, "`ids` must fit the exported shape"),
        (Generator(hybrid(), max_length=3), {}, "`prompt_length` of to_saved_model must be given"),
    ]
    for model, options, message in wrong:
        with pytest.raises(ValueError, match=message):
            to_saved_model(model, tmp_path / "1", **options)
    translate.generator = Generator(translate.generator.model, 8, 2, 3, sampler="random")
    with pytest.raises(ValueError, match="RandomSampler, which draws, cannot be exported"):
        to_saved_model(translate, tmp_path / "1")
    assert not list(tmp_path.iterdir())

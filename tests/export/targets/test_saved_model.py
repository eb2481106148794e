import json
import subprocess
import sys

import keras
import pytest

from keras_seq.data import train_tokenizer
from keras_seq.export import ExportError, to_litert, to_saved_model, verify
from keras_seq.generation import Generator, TextGenerator
from keras_seq.layers import GRU
from tests.export.wrong_step import step_without_state
from tests.generation.generation_models import translator

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


def test_what_is_no_text_generator_is_refused(translate, tmp_path):
    for other in (translate.generator, translate.generator.model, "model"):
        with pytest.raises(TypeError, match=f"Received: {type(other).__name__}"):
            to_saved_model(other, tmp_path / "1")
    with pytest.raises(TypeError, match="export its `generator`"):
        to_litert(translate, tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())

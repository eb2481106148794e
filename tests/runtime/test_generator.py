import pathlib
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

import keras_seq
from keras_seq.data import train_tokenizer
from keras_seq.export import to_litert, verify
from keras_seq.export._digest import add_file_digest
from keras_seq.generation import Generator, RandomSampler, TextGenerator
from keras_seq.runtime import LiteRTGenerator
from keras_seq.runtime._metadata import add_metadata, read_metadata

pytest.importorskip("ai_edge_litert")

PACKAGE = pathlib.Path(keras_seq.__file__).parent
TEXTS = ["one two three", "two two", "three, one", "one"]


def text_generator(sampler="greedy"):
    keras.utils.set_random_seed(0)
    source = train_tokenizer(TEXTS, kind="character", add_end=True, cache=False)
    target = train_tokenizer(["eins zwei drei"], kind="wordpiece", cache=False)
    sizes = source.vocabulary_size(), target.vocabulary_size()
    model = keras_seq.models.seq2seq_rnn(*sizes, 8, 16)
    model.set_weights([3 * w for w in model.get_weights()])  # so that texts differ
    generator = Generator(model, max_length=9, start_token=2, end_token=3, sampler=sampler)
    return TextGenerator(generator, source, target, source_length=16)


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    """A text generator and its file."""
    path = tmp_path_factory.mktemp("translator") / "translator.tflite"
    translate = text_generator()
    to_litert(translate, path, streaming=True)
    return translate, path


def test_strings_become_the_strings_of_the_text_generator(translator):
    translate, path = translator
    generate = LiteRTGenerator(path)
    assert generate(TEXTS) == translate(TEXTS)
    assert len(set(generate(TEXTS))) > 1
    assert generate("two") == translate("two")


def test_ids_become_the_ids_of_the_generator(translator):
    translate, path = translator
    ids = translate.tokenize(TEXTS)
    tokens, scores = LiteRTGenerator(path).generate({"source": ids})
    expected = translate.generator.generate(ids)
    np.testing.assert_array_equal(tokens, expected.tokens)
    np.testing.assert_allclose(scores, expected.scores, atol=1e-4)


def test_a_text_comes_in_pieces_as_its_tokens_are_chosen(translator):
    translate, path = translator
    generate = LiteRTGenerator(path)
    for text in TEXTS:
        pieces = list(generate(text, stream=True))
        assert len(pieces) > 1 and all(pieces) and "".join(pieces) == translate(text)
    with pytest.raises(ValueError, match="`texts` must be one string with `stream=True`"):
        generate(TEXTS, stream=True)


def test_a_piece_never_ends_within_a_character(translator):
    generate = LiteRTGenerator(translator[1])
    shown = {(1,): "a", (1, 2): "a\ufffd", (1, 2, 3): "aé", (1, 2, 3, 4): "aé\ufffd"}
    generate.detokenize = lambda ids, start: shown[tuple(ids)]
    columns = [np.array([token]) for token in (1, 2, 3, 4)]
    assert list(generate._pieces([], columns)) == ["a", "é", "\ufffd"]


def test_ids_come_one_by_one_as_from_the_generator(translator):
    translate, path = translator
    ids = translate.tokenize(TEXTS)[2:3]
    columns = list(LiteRTGenerator(path).generate({"source": ids}, stream=True))
    np.testing.assert_array_equal(columns, list(translate.generator.stream(ids)))
    with pytest.raises(ValueError, match="at most 1 rows with `stream=True`"):
        LiteRTGenerator(path).generate({"source": [[4], [5]]}, stream=True)


def test_the_file_is_verified_with_the_text_generator(translator):
    translate, path = translator
    report = verify(path, translate, ["two one", "three"])
    assert report.agrees and report.inputs == 8  # two widths, both at once and token by token
    assert {"prefill", "step"} <= set(report.latencies)

    def letters(outputs):
        return sum(map(len, outputs["text"]))

    count = sum(map(len, translate(["two one", "three"])))
    metric = verify(path, translate, ["two one", "three"], metric=letters).metric
    assert metric == ("letters", count, count)


def test_the_files_behind_the_model_are_listed_by_any_zip_program(translator):
    names = zipfile.ZipFile(translator[1]).namelist()
    assert names[0] == "keras_seq.json"
    assert {"source_tokenizer/vocabulary.json", "target_tokenizer/vocabulary.json"} <= set(names)


def test_damaged_metadata_are_an_error_or_what_they_were(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"model" * 20)
    files = {"source_tokenizer/vocabulary.json": b'["<pad>", "one", "two"]'}
    add_metadata(path, {"kind": "generator", "max_length": 3}, files)
    add_file_digest(path)
    content, whole = path.read_bytes(), read_metadata(path)
    refused = 0
    for bit in range(8 * 100, 8 * len(content), 3):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert read_metadata(path) == whole
        except ValueError as error:
            refused += "are damaged" in str(error)
    assert refused > 500


def test_a_file_that_draws_takes_a_seed_and_gives_the_same_text(tmp_path):
    translate = text_generator(RandomSampler())
    to_litert(translate, tmp_path / "draws.tflite", streaming=True)
    generate = LiteRTGenerator(tmp_path / "draws.tflite")
    for seed in (0, 7, 2**63):
        assert generate("one two", seed=seed) == translate("one two", seed=seed)
        assert "".join(generate("one two", seed, stream=True)) == translate("one two", seed=seed)
    assert len({generate("one two", seed=seed) for seed in range(5)}) > 1
    with pytest.raises(ValueError, match="`seed` must be an int"):
        generate("one two")


def test_a_prompt_goes_on_as_with_the_text_generator(tmp_path):
    keras.utils.set_random_seed(0)
    tokenizer = train_tokenizer(TEXTS, kind="word", add_end=True, cache=False)
    model = keras_seq.models.language_model(tokenizer.vocabulary_size(), "gru", 8, 16)
    model.set_weights([3 * w for w in model.get_weights()])
    write = TextGenerator(Generator(model, 5, start_token=2, end_token=3), tokenizer)
    to_litert(write, tmp_path / "write.tflite", prompt_length=4, streaming=True)
    generate = LiteRTGenerator(tmp_path / "write.tflite")
    for prompt in ("", "one", "two two"):
        assert generate(prompt) == write(prompt) == "".join(generate(prompt, stream=True))
    with pytest.raises(ValueError, match="`prompt` must have at most 4 ids a row. Received: 5"):
        generate("one one one one")


def test_what_does_not_fit_is_refused_by_name(translator, tmp_path):
    translate, path = translator
    generate = LiteRTGenerator(path)
    with pytest.raises(ValueError, match="`source` must have at most 16 ids a row"):
        generate("one two three one two")
    with pytest.raises(TypeError, match="`texts` must be a string or strings"):
        generate([1])
    with pytest.raises(ValueError, match="takes no `seed`"):
        generate("one", seed=3)
    with pytest.raises(ValueError, match=r"`inputs` must hold \['source'\] by name"):
        generate.generate({"target": [[1]]})
    to_litert(translate.generator, tmp_path / "ids.tflite", source_length=16)
    with pytest.raises(ValueError, match="no tokenizers: export a TextGenerator"):
        LiteRTGenerator(tmp_path / "ids.tflite")("one")
    with pytest.raises(ValueError, match="no token before the last: export it with"):
        LiteRTGenerator(tmp_path / "ids.tflite").generate({"source": [[4]]}, stream=True)


SCRIPT = """
import sys
for name in ("tensorflow", "keras", "keras_hub", "sentencepiece", "jax", "torch"):
    sys.modules[name] = None  # importing it fails
from keras_seq.runtime import LiteRTGenerator
from keras_seq.runtime._metadata import add_metadata, read_metadata
print(LiteRTGenerator(sys.argv[1])(sys.argv[2:]))
"""


def test_it_runs_where_tensorflow_and_keras_are_absent(translator, tmp_path):
    translate, path = translator
    alone = tmp_path / "keras_seq"  # as the distribution in runtime/ installs it
    alone.mkdir()
    (alone / "runtime").symlink_to(PACKAGE / "runtime")
    command = [sys.executable, "-c", SCRIPT, str(path), *TEXTS]
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "", "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == repr(translate(TEXTS))


@pytest.mark.thorough
def test_the_distribution_installs_and_runs_in_an_environment_of_its_own(translator, tmp_path):
    translate, path = translator
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", PACKAGE.parent / "runtime"], check=True)
    done = subprocess.run(
        [python, "-c", SCRIPT, path, *TEXTS], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == repr(translate(TEXTS)), done.stderr[-2000:]

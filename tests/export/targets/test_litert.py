import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_seq
from keras_seq.export import ExportError, to_litert, verify
from keras_seq.generation import (
    BeamSampler,
    Generator,
    GreedySampler,
    RandomSampler,
    TopK,
    TopKSampler,
    TopP,
    TopPSampler,
)
from keras_seq.layers import GRU
from keras_seq.runtime import LiteRTGenerator
from tests.export.wrong_step import step_without_state
from tests.generation.generation_models import hybrid, sources, translator


def generator(kind, **arguments):
    keras.utils.set_random_seed(0)  # the same weights at each call
    return Generator(translator(kind), max_length=8, start_token=2, end_token=3, **arguments)


@pytest.mark.parametrize(
    "kind", ["gru", pytest.param("lstm", marks=pytest.mark.thorough), "transformer"]
)
def test_a_translator_runs_in_litert_token_for_token(kind, tmp_path):
    path = tmp_path / "model.tflite"
    inputs = sources(rows=40, width=9)
    report = to_litert(generator(kind), path, source_length=9, inputs=inputs)
    assert report.agrees and report.inputs == 40
    assert report.largest_difference < 1e-4
    assert report.size == path.stat().st_size
    assert "WHILE" in report.ops and all(op.isupper() for op in report.ops)  # built-in ones only
    assert "source int32[1, 9]" in report.signatures["generate"]
    assert "tokens equal" in str(report) and str(path) in str(report)


@pytest.mark.parametrize(
    "decoding",
    [
        {"sampler": BeamSampler(num_beams=3, length_penalty=0.6)},
        {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_length": 3, "banned_tokens": 7},
    ],
)
def test_beams_and_constraints_run_in_litert(decoding, tmp_path):
    inputs = sources(rows=12, width=7)
    report = to_litert(
        generator("gru", **decoding), tmp_path / "m.tflite", source_length=7, inputs=inputs
    )
    assert report.agrees and report.inputs == 12
    assert all(op.isupper() for op in report.ops)


DRAWING = [
    TopPSampler(0.9, temperature=0.8),
    pytest.param(RandomSampler(), marks=pytest.mark.thorough),
    pytest.param(TopKSampler(5), marks=pytest.mark.thorough),
    pytest.param(RandomSampler(filters=[TopK(9), TopP(0.9)]), marks=pytest.mark.thorough),
]


@pytest.mark.parametrize("sampler", DRAWING)
def test_a_seed_draws_in_litert_what_it_draws_in_keras(sampler, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path, made = tmp_path / "m.tflite", generator("gru", sampler=sampler)
    options = {"source_length": 7, "batch_size": 2, "streaming": True}
    report = to_litert(made, path, inputs=sources(rows=31), **options)
    assert report.agrees and report.inputs == 31 + 16  # and 8 calls token by token
    assert "seed int32[2]" in report.signatures["generate"]
    assert all(op.isupper() for op in report.ops)
    ids, first = sources(rows=2), set()
    run = Interpreter(model_path=str(path)).get_signature_runner("generate")
    for seed in (0, 1, 2**31, 2**64 - 1):
        words = np.array([seed % 2**32, seed >> 32], "uint32").view("int32")
        tokens = run(source=ids, seed=words)["tokens"]
        np.testing.assert_array_equal(tokens, made.generate(ids, seed=seed).tokens)
        first.add(tuple(tokens[0].tolist()))
    assert len(first) > 1
    with pytest.raises(TypeError, match="takes a seed and is none of a generator with Greedy"):
        verify(path, generator("gru"))


SAMPLERS = [GreedySampler(), BeamSampler(3), RandomSampler(), TopKSampler(5), TopPSampler(0.9)]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer", "a prompt alone"])
@pytest.mark.parametrize(
    "sampler", SAMPLERS, ids=lambda s: s if s == "greedy" else type(s).__name__
)
def test_a_hundred_inputs_agree_token_for_token(kind, sampler, tmp_path):
    options = {"streaming": not isinstance(sampler, BeamSampler)}
    if kind == "a prompt alone":
        made = Generator(hybrid(), max_length=8, end_token=3, sampler=sampler)
        rng = np.random.default_rng(0)
        prompt = [rng.integers(4, 20, size=1 + i % 6).tolist() for i in range(100)]
        options |= {"prompt_length": 6, "prompt": prompt}
    else:
        made = generator(kind, sampler=sampler)
        options |= {"source_length": 9, "inputs": sources(rows=100, width=9)}
    report = to_litert(made, tmp_path / "m.tflite", **options)
    assert report.inputs == 100 + 8 * options["streaming"]
    assert report.tokens_equal == report.tokens and report.near_ties == 0


def test_drawing_goes_on_from_prompts_of_any_length_and_without_a_context(tmp_path):
    made = Generator(hybrid(), max_length=5, end_token=3, sampler="random", repetition_penalty=1.2)
    prompt = [[4, 5, 6, 7], [9, 0, 0, 0], [8, 11, 0, 0]]
    options = {"prompt_length": 4, "prompt": prompt, "batch_size": 3, "streaming": True}
    report = to_litert(made, tmp_path / "m.tflite", **options)
    assert report.agrees and report.inputs == 6
    assert "prompt int32[3, 4], seed" in report.signatures["generate"]


def test_a_hybrid_written_by_hand_exports_with_no_extra_code(tmp_path):
    hybrid_generator = Generator(hybrid(), max_length=6, end_token=3)
    prompt = [[4, 5, 6, 7], [9, 0, 0, 0], [8, 11, 0, 0]]
    report = to_litert(hybrid_generator, tmp_path / "m.tflite", prompt_length=4, prompt=prompt)
    assert report.agrees and report.inputs == 3


@pytest.mark.parametrize(
    "quantize", [None, pytest.param("dynamic_int8", marks=pytest.mark.thorough)]
)
def test_prefill_and_step_share_the_weights_of_generate_and_give_its_tokens(quantize, tmp_path):
    keras.utils.set_random_seed(0)
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 64}
    made = Generator(keras_seq.models.decoder_only_transformer(4000, **sizes), max_length=6)
    options = {"prompt_length": 5, "quantize": quantize}
    alone = to_litert(made, tmp_path / "alone.tflite", **options)
    report = to_litert(made, tmp_path / "m.tflite", streaming=True, **options)
    assert report.agrees and report.size < alone.size + 4000 * 64  # the embedding, in int8
    assert "states (" in report.signatures["step"] and "latency of step" in str(report)
    generate, prompt = LiteRTGenerator(tmp_path / "m.tflite"), {"prompt": [[7, 8, 9]]}
    columns = list(generate.generate(prompt, stream=True))
    np.testing.assert_array_equal(np.transpose(columns), generate.generate(prompt)[0][:, 3:9])


@pytest.mark.parametrize(
    "kind", ["gru", pytest.param("lstm", marks=pytest.mark.thorough), "transformer"]
)
def test_without_a_length_a_file_takes_sources_of_every_length(kind, tmp_path):
    made = generator(kind, sampler=RandomSampler(), jit_compile=False)
    path, options = tmp_path / "m.tflite", {"batch_size": 2, "streaming": True}
    report = to_litert(made, path, inputs=sources(rows=10, width=9), **options)
    assert report.inputs == 10 + 8 + 10 + 8  # those of half the width, and both token by token
    assert "source int32[2, -1]" in report.signatures["generate"]
    generate = LiteRTGenerator(path)
    for width in (1, 2, 13):
        ids = sources(rows=2, width=14)[:, :width]
        tokens = made.generate(ids, seed=7).tokens
        np.testing.assert_array_equal(generate.generate({"source": ids}, seed=7)[0], tokens)
        columns = list(generate.generate({"source": ids}, seed=7, stream=True))
        np.testing.assert_array_equal(np.transpose(columns), tokens[:, : len(columns)])
    assert verify(path, made, sources(rows=2, width=5)).agrees


def test_beams_are_not_streamed(tmp_path):
    beams = generator("gru", sampler=BeamSampler(2))
    with pytest.raises(ValueError, match="`streaming=True` is not for a generator with BeamS"):
        to_litert(beams, tmp_path / "m.tflite", source_length=5, streaming=True)
    assert not list(tmp_path.iterdir())


def test_a_file_of_several_rows_takes_any_number_of_inputs(tmp_path):
    path = tmp_path / "m.tflite"
    report = to_litert(generator("gru"), path, source_length=5, batch_size=4, inputs=sources(7, 5))
    assert report.inputs == 7 and "[4, 5]" in report.signatures["generate"]


def test_prompts_of_several_rows_and_a_context(tmp_path):
    path, made = tmp_path / "m.tflite", generator("gru")
    options = {"source_length": 7, "prompt_length": 3, "batch_size": 2}
    prompt = [[2, 4, 5], [2, 0, 0], [2, 6, 0]]
    report = to_litert(made, path, inputs=sources(rows=3), prompt=prompt, **options)
    assert report.agrees and "prompt int32[2, 3]" in report.signatures["generate"]
    with pytest.raises(ValueError, match="equal rows"):
        to_litert(made, path, inputs=sources(rows=2), prompt=prompt, **options)
    with pytest.raises(ValueError, match="prompt_length"):
        to_litert(made, path, source_length=7, prompt=prompt)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "m.tflite"
    to_litert(generator("gru"), path, source_length=7)
    return path


def test_a_file_runs_where_only_litert_and_numpy_are(exported):
    path, made = exported, generator("gru")
    ids = sources()
    program = f"""
import json, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
run = Interpreter(model_path={str(path)!r}).get_signature_runner("generate")
rows = [run(source=np.array([row], "int32"))["tokens"][0].tolist() for row in {ids.tolist()}]
assert not {{"tensorflow", "keras", "keras_seq"}} & set(sys.modules)
print(json.dumps(rows))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    expected = np.asarray(made.generate(ids).tokens).tolist()
    assert json.loads(done.stdout.splitlines()[-1]) == expected


def test_a_model_that_steps_to_other_numbers_than_it_calls_is_refused(tmp_path, monkeypatch):
    made = generator("gru")
    monkeypatch.setattr(GRU, "step", step_without_state)
    with pytest.raises(ExportError, match="does not agree with the model's own call"):
        to_litert(made, tmp_path / "m.tflite", source_length=7, inputs=sources())
    assert not list(tmp_path.iterdir())


def test_verify_finds_that_the_weights_have_changed(exported, tmp_path):
    path, made = exported, generator("gru")
    assert verify(path, made, sources()).agrees
    made.model.set_weights([w[..., ::-1] for w in made.model.get_weights()])
    with pytest.raises(ExportError, match="does not agree"):
        verify(path, made, sources())
    with pytest.raises(ExportError, match="nothing to verify"):
        verify(tmp_path / "other.tflite", made, sources())
    with pytest.raises(TypeError, match="none of a Functional"):
        verify(path, made.model)


def test_a_target_input_too_short_for_the_model_s_own_call_is_refused(tmp_path):
    ids = keras.Input((4,), dtype="int32")
    y = GRU(8, return_sequences=True)(keras.layers.Embedding(9, 8)(ids))
    model = keras.Model(ids, keras.layers.Dense(9)(y))
    with pytest.raises(ValueError, match="takes 4 tokens, not the 5"):
        to_litert(Generator(model, max_length=4), tmp_path / "m.tflite", prompt_length=2)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_refused_before_any_work(tmp_path):
    made = generator("gru")
    path = tmp_path / "m.tflite"
    with pytest.raises(ValueError, match="fit"):
        to_litert(made, path, source_length=3, inputs=sources(width=7))
    with pytest.raises(ValueError, match=r"\[0, 20\)"):
        to_litert(made, path, source_length=3, inputs=np.array([[4, 20, 3]]))
    with pytest.raises(ValueError, match="prompt_length"):
        to_litert(Generator(hybrid(), max_length=4, end_token=3), path)
    with pytest.raises(ValueError, match="batch_size"):
        to_litert(made, path, source_length=3, batch_size=0)
    with pytest.raises(ValueError, match="`time` of to_litert is not for a Generator"):
        to_litert(made, path, source_length=3, time=3)
    assert not list(tmp_path.iterdir())

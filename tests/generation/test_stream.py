import keras
import numpy as np
import pytest

from keras_seq.generation import Generator
from tests.generation.generation_models import hybrid, sources, translator

numpy = keras.ops.convert_to_numpy
GRAPH = {"jit_compile": keras.backend.backend() != "tensorflow"}


@pytest.mark.parametrize(
    "sampler, jit_compile", [("greedy", GRAPH["jit_compile"]), ("random", True)]
)
def test_a_stream_gives_the_tokens_of_generate_one_after_the_other(sampler, jit_compile):
    generator = Generator(
        translator("gru"),
        max_length=12,
        start_token=2,
        end_token=[3, 4],
        sampler=sampler,
        jit_compile=jit_compile,
    )
    seeds = [{"seed": 5}, {"seed": 6}] if sampler == "random" else [{}, {}]
    whole = generator.generate(sources(), **seeds[0])
    traced = generator.trace_count
    columns = list(generator.stream(sources(), **seeds[0]))
    assert all(c.dtype == np.int32 and c.shape == (5,) for c in columns)
    assert len(columns) == int(whole.steps)
    assert np.stack(columns, 1).tolist() == numpy(whole.tokens)[:, : len(columns)].tolist()
    assert not numpy(whole.tokens)[:, len(columns) :].any()
    list(generator.stream(sources(seed=1), **seeds[1]))
    assert generator.trace_count == traced + 2  # a beginning and a step, for any number of tokens


def test_a_stream_goes_on_from_the_end_of_the_shortest_prompt():
    generator = Generator(hybrid(), max_length=4, end_token=3, no_repeat_ngram_size=1, **GRAPH)
    for prompts, prefix in (([[5, 6, 7, 8, 9, 4], [8, 9, 10, 11]], None), ([[5], [7]], [[9], []])):
        whole = numpy(generator.generate(prompt=prompts, prefix=prefix).tokens)
        columns = list(generator.stream(prompt=prompts, prefix=prefix))
        shortest = min(len(row) for row in prompts)
        assert np.stack(columns, 1).tolist() == whole[:, shortest:][:, : len(columns)].tolist()
        assert not whole[:, shortest + len(columns) :].any()


def test_a_stream_refuses_beams_and_bad_input_at_once():
    generator = Generator(translator("gru"), max_length=4, start_token=2, sampler="beam")
    with pytest.raises(ValueError, match="BeamSampler"):
        generator.stream(sources())
    generator = Generator(translator("gru"), max_length=4, start_token=2)
    with pytest.raises(ValueError, match=r"\[0, 20\)"):
        generator.stream(np.array([[99]]))
    assert generator.trace_count == 0

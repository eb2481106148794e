import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_seq.generation import BeamSampler, Generator
from keras_seq.generation._padding import padded_width
from keras_seq.generation._request import checked_request
from keras_seq.layers import (
    GRU,
    LSTM,
    CausalWindow,
    LearnedPositions,
    MultiHeadSelfAttention,
    PositionalEmbedding,
    RelativePositionBias,
    RotaryEmbedding,
    SequenceLayer,
)
from tests.generation.compilations import counted_compilations
from tests.generation.generation_models import hybrid, shaken, slow_greedy, sources, translator

numpy = ops.convert_to_numpy
GRAPH = {"jit_compile": keras.backend.backend() != "tensorflow"}
compiles = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="PyTorch runs generation eagerly"
)


def stacked(*stack, embedding=None):
    tokens = keras.Input((None,), dtype="int32", name="target")
    x = (embedding or layers.Embedding(20, 16))(tokens)
    for layer in stack:
        x = layer(x)
    return shaken(keras.Model(tokens, layers.Dense(20)(x)))


def attention(**options):
    return MultiHeadSelfAttention(2, 8, causal=True, **options)


def positional():
    """A model in which every layer has a position, and one of each kind."""
    return stacked(
        RotaryEmbedding(),
        LearnedPositions(40),
        layers.LayerNormalization(),
        attention(positions="rotary"),
        attention(positions="alibi", sliding_window=3),
        layers.LayerNormalization(),
        attention(positions=RelativePositionBias(8, 16), sliding_window=30),
        layers.LayerNormalization(),
        embedding=PositionalEmbedding(20, 16, sequence_length=40),
    )


def recurrent():
    return stacked(
        CausalWindow(3),
        LSTM(8, return_sequences=True),
        GRU(8, return_sequences=True),
        embedding=layers.Embedding(20, 16, mask_zero=True),
    )


def prompts(*lengths):
    rng = np.random.default_rng(sum(lengths))
    return [rng.integers(4, 20, size=length).tolist() for length in lengths]


@compiles
def test_a_stream_compiles_a_beginning_and_a_step_for_all_tokens_and_prompts():
    generator = Generator(positional(), max_length=6, no_repeat_ngram_size=2)
    with counted_compilations() as first:
        assert len(list(generator.stream(prompt=[[5, 6, 7]]))) == 6
    with counted_compilations() as later:
        for length in (4, 5, 8):
            assert len(list(generator.stream(prompt=[[5] * length]))) == 6
    assert generator.trace_count == 2
    assert later == [0]
    if keras.backend.backend() == "tensorflow":
        assert first == [2]


@compiles
def test_prompts_of_many_lengths_share_few_compiled_functions():
    generator = Generator(hybrid(), max_length=4)
    keys = set()
    for length in range(1, 201):
        request = checked_request(generator, None, [[5] * length], None, None, None)
        keys.add((request.static, *(x.shape for x in request.arguments[1:3])))
        assert request.total == length + 4
    assert len(keys) <= 12
    generator.generate(prompt=[[5] * 9])
    generator.score([[5, 6]], prompt=[[5] * 9])
    with counted_compilations() as later:
        for length in range(10, 17):
            out = generator.generate(prompt=[[5] * length])
            assert out.tokens.shape == (1, length + 4)
            scored = generator.score([[5] * 8], prompt=[[5] * (length - 8)])
            assert scored.log_probabilities.shape == (1, 8)
    if keras.backend.backend() == "tensorflow":  # JAX compiles the results' way back, too
        assert later == [0]
    assert generator.trace_count == 2


def exact(generator):
    generator._padding.prompts = generator._padding.targets = False
    return generator


@compiles
@pytest.mark.parametrize(
    "model, lengths, prefix",
    [
        (positional, (12, 10), None),
        (positional, (1, 6), [[7], [8, 9]]),
        (recurrent, (12, 10), [[7], [8, 9]]),
        (recurrent, (9, 9), None),
    ],
)
def test_padding_prompts_changes_nothing(model, lengths, prefix):
    model, prompt = model(), prompts(*lengths)
    options = {"max_length": 4, "end_token": 3, **GRAPH}
    padded, expected = Generator(model, **options), exact(Generator(model, **options))
    assert padded._padding.prompts
    got, right = (g.generate(prompt=prompt, prefix=prefix) for g in (padded, expected))
    assert numpy(got.tokens).tolist() == numpy(right.tokens).tolist()
    np.testing.assert_allclose(numpy(got.scores), numpy(right.scores), atol=1e-5)
    got, right = (g.score(prompts(*lengths), prompt=prompt) for g in (padded, expected))
    for a, b in zip(got, right, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=1e-5)


@compiles
def test_padding_prompts_changes_nothing_for_beams():
    model, prompt = hybrid(), prompts(10, 9)
    options = {"max_length": 4, "end_token": 3, "sampler": BeamSampler(3, True), **GRAPH}
    generators = Generator(model, **options), exact(Generator(model, **options))
    got, right = (generator.generate(prompt=prompt) for generator in generators)
    assert numpy(got.tokens).tolist() == numpy(right.tokens).tolist()
    np.testing.assert_allclose(numpy(got.scores), numpy(right.scores), atol=1e-5)


@compiles
@pytest.mark.parametrize("sampler", ["greedy", "beam"])
def test_another_max_length_of_a_call_shares_a_compiled_function(sampler):
    model, options = hybrid(), {"end_token": 3, "sampler": sampler, **GRAPH}
    generator = Generator(model, max_length=20, **options)
    for prompt, new in (([[5], [6]], 5), ([[5], [6]], 3), ([[5, 6]], 4), ([[7, 8, 9]], 8)):
        expected = Generator(model, new, **options)
        got = generator.generate(prompt=prompt, max_length=new)
        right = expected.generate(prompt=prompt)
        assert numpy(got.tokens).tolist() == numpy(right.tokens).tolist()
        np.testing.assert_allclose(numpy(got.scores), numpy(right.scores), atol=1e-5)
        if sampler == "greedy":
            columns = np.stack(list(generator.stream(prompt=prompt, max_length=new)), 1)
            assert columns.tolist() == numpy(right.tokens)[:, len(prompt[0]) :].tolist()
    assert generator.trace_count == (6 if sampler == "greedy" else 2)


def test_prompts_are_padded_no_further_than_the_model_has_positions():
    model = stacked(embedding=PositionalEmbedding(20, 16, sequence_length=10))
    generator = Generator(model, max_length=6, **GRAPH)
    tokens = numpy(generator.generate(prompt=[[5, 6, 7, 8, 9]]).tokens)
    assert tokens.shape == (1, 11)
    assert tokens[0].tolist() == slow_greedy(model, None, [5, 6, 7, 8, 9], 6, end=None)[0]
    assert generator.score(tokens[:, 5:], prompt=tokens[:, :5]).scores.shape == (1,)


class Counted(SequenceLayer):
    """Adds the number of time steps so far, in a way that knows nothing of `padded_chunk`."""

    def get_initial_state(self, batch_size, max_length=None):
        return ops.zeros((), dtype="int32")

    def call(self, x, initial_state=None, return_state=False):
        time = ops.shape(x)[1]
        start = 0 if initial_state is None else initial_state
        t = ops.cast(start + ops.arange(time, dtype="int32"), x.dtype)
        y = x + ops.expand_dims(t, -1)
        return (y, ops.cast(start + time, "int32")) if return_state else y


def test_prompts_of_layers_that_count_steps_themselves_are_not_padded():
    model = stacked(Counted())
    generator = Generator(model, max_length=4, **GRAPH)
    assert not generator._padding.prompts
    tokens = numpy(generator.generate(prompt=[[5, 6, 7]]).tokens)
    assert tokens[0].tolist() == slow_greedy(model, None, [5, 6, 7], 4, end=None)[0]


@pytest.mark.parametrize(
    "width, padded",
    [(1, 8), (8, 8), (9, 16), (17, 24), (25, 32), (33, 48), (49, 64), (65, 96), (97, 128)],
)
def test_widths_are_powers_of_two_and_the_middle_between_two(width, padded):
    assert padded_width(width) == padded
    assert padded_width(width, width) == padded_width(width, -5) == width
    assert padded_width(padded) == padded


def averaging(*encoder, mask_zero=True):
    """A model whose context is the mean of a source, read by the layers `encoder`."""
    tokens = keras.Input((None,), dtype="int32", name="target")
    source = keras.Input((None,), dtype="int32", name="source")
    x = layers.Embedding(20, 4, mask_zero=mask_zero)(source)
    for layer in encoder:
        x = layer(x)
    x = layers.Embedding(20, 4)(tokens) + layers.GlobalAveragePooling1D(keepdims=True)(x)
    return keras.Model([source, tokens], layers.Dense(20, kernel_initializer="zeros")(x))


@compiles
def test_lists_of_source_ids_share_a_compiled_function_where_their_padding_is_masked():
    model = translator("gru")
    generator = Generator(model, max_length=4, start_token=2, end_token=3, **GRAPH)
    for row in sources(5):
        ids = row[row != 0]
        got = generator.generate([ids.tolist()])
        tokens, score = slow_greedy(model, ids, [2], 4, end=3)
        assert numpy(got.tokens)[0, : len(tokens) - 1].tolist() == tokens[1:]
        np.testing.assert_allclose(numpy(got.scores), [score], atol=1e-4)
    assert generator.trace_count == 1
    assert not masked(averaging(), 2)  # no id of the source is 2 by its mask


def masked(model, padding=0):
    generator = Generator(model, 2, start_token=2, source_pad_token=padding, **GRAPH)
    return generator._padding.source("source", padding)


@compiles
@pytest.mark.filterwarnings("ignore:Layer 'conv1d")
def test_sources_are_not_padded_where_that_would_change_the_context():
    """Whatever the weights are: here the last ones are zero and hide all."""
    assert masked(averaging())
    assert masked(averaging(layers.Bidirectional(layers.GRU(2, return_sequences=True))))
    assert not masked(averaging(mask_zero=False))
    assert not masked(averaging(layers.Conv1D(4, 3, padding="same")))

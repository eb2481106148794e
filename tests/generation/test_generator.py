import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_seq.generation import Generator, RandomSampler
from keras_seq.generation._token_ids import padded_prompt, padded_targets
from keras_seq.inspection import attention_scores
from keras_seq.layers import (
    GRU,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
    PositionalEmbedding,
    TransformerEncoderBlock,
)
from tests.generation.generation_models import (
    hybrid,
    log_probabilities,
    shaken,
    slow_greedy,
    sources,
    translator,
)

numpy = keras.ops.convert_to_numpy
# Without XLA a loop is traced much faster; JAX compiles in either case.
GRAPH = {"jit_compile": keras.backend.backend() != "tensorflow"}


@pytest.mark.parametrize("kind", ["gru", "lstm", "transformer"])
def test_cached_generation_equals_uncached_generation(kind):
    model = translator(kind)
    generator = Generator(model, max_length=9, start_token=2, end_token=3)
    source = sources()
    out = generator.generate(source)
    for row, tokens, score in zip(source, numpy(out.tokens), numpy(out.scores), strict=True):
        expected, expected_score = slow_greedy(model, row[row != 0], [2], 9, end=3)
        assert tokens.tolist() == expected[1:] + [0] * (9 - len(expected[1:]))
        np.testing.assert_allclose(score, expected_score, atol=1e-4)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_prompts_of_different_lengths_each_get_what_they_get_alone(jit_compile):
    model = hybrid()
    generator = Generator(model, max_length=5, end_token=3, jit_compile=jit_compile)
    prompts = [[5, 6, 7, 8, 9, 4, 11], [8, 9, 10, 11, 5], [12, 4, 4, 6, 7, 8]]
    out = generator.generate(prompt=prompts)
    for prompt, tokens, score in zip(prompts, numpy(out.tokens), numpy(out.scores), strict=True):
        expected, expected_score = slow_greedy(model, None, prompt, 5, end=3)
        assert tokens.tolist() == expected + [0] * (12 - len(expected))
        np.testing.assert_allclose(score, expected_score, atol=1e-4)


def test_a_prompt_of_one_token_and_a_long_one_share_a_batch():
    model = hybrid()
    prompts = [[5], list(range(4, 14))]
    out = numpy(Generator(model, max_length=4, end_token=3).generate(prompt=prompts).tokens)
    for prompt, tokens in zip(prompts, out, strict=True):
        expected, _ = slow_greedy(model, None, prompt, 4, end=3)
        assert tokens[: len(expected)].tolist() == expected
        assert (tokens[len(expected) :] == 0).all()


def counting_model(vocabulary_size=12):
    """Gives the number after the last token, so that what is generated is known."""
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(vocabulary_size, vocabulary_size)(tokens)
    model = keras.Model(tokens, layers.Dense(vocabulary_size, use_bias=False)(x))
    model.set_weights([10 * np.eye(vocabulary_size), np.roll(np.eye(vocabulary_size), 1, axis=1)])
    return model


def test_the_loop_ends_when_every_row_has_ended():
    out = Generator(counting_model(), max_length=10, end_token=8).generate(prompt=[[6], [4], [7]])
    assert numpy(out.tokens)[:, :6].tolist() == [
        [6, 7, 8, 0, 0, 0],
        [4, 5, 6, 7, 8, 0],
        [7, 8, 0, 0, 0, 0],
    ]
    assert int(out.steps) == 4  # as many as the longest row needs, of 10 allowed
    each = -np.log(1 + 11 * np.exp(-10.0))  # log p of every token, none after the end
    np.testing.assert_allclose(numpy(out.scores), each * np.array([2, 4, 1]), atol=1e-5)
    assert (numpy(out.tokens)[:, 5:] == 0).all()


def test_any_of_several_end_tokens_ends_a_row():
    out = Generator(counting_model(), max_length=4, end_token=[7, 9]).generate(prompt=[[5], [8]])
    assert numpy(out.tokens).tolist() == [[5, 6, 7, 0, 0], [8, 9, 0, 0, 0]]


def test_without_an_end_token_every_row_gets_max_length_tokens():
    generator = Generator(counting_model(), max_length=3)
    assert numpy(generator.generate(prompt=[[4]]).tokens).tolist() == [[4, 5, 6, 7]]
    assert numpy(generator.generate(prompt=[[4]], max_length=1).tokens).tolist() == [[4, 5]]


def test_an_end_token_inside_the_prompt_does_not_end_it():
    out = Generator(counting_model(), max_length=2, end_token=5).generate(prompt=[[5, 7], [9, 1]])
    assert numpy(out.tokens).tolist() == [[5, 7, 8, 9], [9, 1, 2, 3]]
    # Where prompts differ in length, the loop reads the end token.
    out = Generator(counting_model(), max_length=2, end_token=5).generate(prompt=[[9, 5, 7], [1]])
    assert numpy(out.tokens).tolist() == [[9, 5, 7, 8, 9], [1, 2, 3, 0, 0]]


def test_generation_is_traced_once_for_each_shape():
    model = translator("gru")
    generator = Generator(model, max_length=4, start_token=2, end_token=3)
    for seed in range(3):
        generator.generate(sources(seed=seed))
    assert generator.trace_count == 1
    generator.generate(sources(rows=2))
    assert generator.trace_count == 2


def test_a_compiled_generator_sees_new_weights():
    model = translator("gru")
    generator = Generator(model, max_length=6, start_token=2, end_token=3)
    source = sources()
    generator.generate(source)
    shaken(model, seed=7, scale=1.0)
    expected = [slow_greedy(model, row[row != 0], [2], 6, end=3)[0][1:] for row in source]
    for tokens, e in zip(numpy(generator.generate(source).tokens), expected, strict=True):
        assert tokens[: len(e)].tolist() == e
    assert generator.trace_count == 1


def test_a_sampler_object_chooses_the_tokens():
    def worst(log_probabilities):
        tokens = keras.ops.cast(keras.ops.argmin(log_probabilities, axis=-1), "int32")
        return tokens, keras.ops.min(log_probabilities, axis=-1)

    out = Generator(counting_model(), max_length=1, sampler=worst).generate(prompt=[[4]])
    assert int(numpy(out.tokens)[0, 1]) != 5

    def careless(log_probabilities):
        tokens = keras.ops.cast(keras.ops.argmax(log_probabilities, axis=-1), "int64")
        return tokens, keras.ops.max(log_probabilities, axis=-1)

    options = {"max_length": 2, "jit_compile": False}
    out = Generator(counting_model(), sampler=careless, **options).generate(prompt=[[4]])
    assert numpy(out.tokens).tolist() == [[4, 5, 6]]
    for wrong in (lambda p: careless(p)[0], lambda p: (p, p), lambda p: (*careless(p), 0)):
        with pytest.raises(ValueError, match=r"must return \(tokens, scores\)"):
            Generator(counting_model(), sampler=wrong, **options).generate(prompt=[[4]])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"inputs": np.array([[4, 99]])}, r"inputs\['source'\].*\[0, 20\).*99"),
        ({"inputs": np.array([[4, -1]])}, r"inputs\['source'\].*-1"),
        ({"inputs": np.array([4, 5])}, "shape"),
        ({"inputs": np.zeros((1, 0), int)}, "empty"),
        ({"inputs": np.zeros((0, 4), int)}, "no rows"),
        ({"inputs": None}, "source"),
        ({"inputs": sources(), "prompt": np.array([[2]])}, "rows"),
        ({"inputs": sources(), "max_length": 0}, "max_length"),
        ({"inputs": sources(rows=1), "prompt": [[2, 18]]}, r"prompt.*\[0, 18\).*18"),
        ({"inputs": sources(rows=1), "prompt": [[]]}, "prompt"),
        ({"inputs": sources(rows=2), "prompt": np.array([[2, 4], [0, 0]])}, "Row 1 is empty"),
        ({"inputs": sources(rows=1), "prompt": np.array([[0, 4]])}, "right"),
        ({"inputs": sources(rows=1), "seed": 1}, "seed.*GreedySampler takes none.*1"),
    ],
)
def test_bad_input_is_refused_before_any_computation(arguments, message):
    generator = Generator(translator("gru"), max_length=4, start_token=2, end_token=3)
    with pytest.raises(ValueError, match=message):
        generator.generate(**arguments)
    assert generator.trace_count == 0


def test_inputs_may_be_lists_and_must_fit_the_models_shapes():
    tokens = keras.Input((None,), dtype="int32", name="target")
    source = keras.Input((None,), dtype="int32", name="source")
    x = layers.Embedding(9, 4)(tokens)
    x = x + layers.GlobalAveragePooling1D(keepdims=True)(layers.Embedding(9, 4)(source))
    generator = Generator(
        keras.Model([source, tokens], layers.Dense(9)(x)), 2, start_token=2, jit_compile=False
    )
    got = [
        numpy(generator.generate(inputs).tokens).tolist()
        for inputs in (
            [[5, 6, 7], [8]],
            {"source": [[5, 6, 7], [8]]},
            [np.array([[5, 6, 7], [8, 0, 0]])],
        )
    ]
    assert got[0] == got[1] == got[2]
    numbers = keras.Input((3,), name="numbers")
    x = layers.Embedding(9, 4)(tokens) + layers.Reshape((1, 4))(layers.Dense(4)(numbers))
    generator = Generator(
        keras.Model([numbers, tokens], layers.Dense(9)(x)), 2, start_token=2, jit_compile=False
    )
    assert generator.generate([[0.5, 1, 2]]).tokens.shape == (1, 2)
    with pytest.raises(ValueError, match=r"inputs\['numbers'\].*\(None, 3\).*\(1, 2\)"):
        generator.generate([[0.5, 1]])
    with pytest.raises(ValueError, match=r"inputs\['source'\].*33 tokens.*32 positions"):
        Generator(translator("transformer"), 2, start_token=2).generate([[5] * 33])


def test_ids_must_be_ints():
    generator = Generator(translator("gru"), max_length=4, start_token=2, end_token=3)
    with pytest.raises(TypeError, match="int token ids"):
        generator.generate(np.array([[4.0, 5.0]]))
    with pytest.raises(TypeError, match="prompt"):
        padded_prompt([[1.5]], 0, None)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"max_length": 0}, "max_length"),
        ({"max_length": 4, "start_token": 18}, r"start_token.*\[0, 18\)"),
        ({"max_length": 4, "end_token": -1}, "end_token"),
        ({"max_length": 4, "end_token": [3, 40]}, "end_token.*40"),
        ({"max_length": 4, "pad_token": "0"}, "pad_token"),
        ({"max_length": 4, "pad_token": None}, "pad_token.*None"),
        ({"max_length": 4, "sampler": "best"}, "sampler"),
    ],
)
def test_a_generator_checks_its_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Generator(translator("gru"), **arguments)


def test_the_self_check_of_the_users_own_layers_can_be_turned_off():
    class Forgetful(GRU):
        def step(self, x, state, mask=None, **kwargs):
            return super().step(x, state, mask=mask, **kwargs)[0], state

    tokens = keras.Input((None,), dtype="int32")
    x = Forgetful(4, return_sequences=True)(layers.Embedding(5, 4)(tokens))
    model = keras.Model(tokens, layers.Dense(5)(x))
    with pytest.raises(ValueError, match="self_check=False"):
        Generator(model, max_length=2)
    assert Generator(model, max_length=2, self_check=False).trace_count == 0


def test_a_generator_without_start_token_wants_a_prompt():
    with pytest.raises(ValueError, match="prompt"):
        Generator(hybrid(), max_length=4).generate()


def test_a_model_without_logits_over_time_is_refused():
    x = keras.Input((None, 4))
    h = GRU(4, return_sequences=True)(x)
    with pytest.raises(ValueError, match="logits"):
        Generator(keras.Model(x, [h, h]), max_length=3)


def test_as_many_tokens_as_the_model_has_positions_can_be_generated():
    tokens = keras.Input((None,), dtype="int32")
    x = PositionalEmbedding(12, 8, sequence_length=6)(tokens)
    x = TransformerEncoderBlock(16, 2, causal=True)(x)
    model = shaken(keras.Model(tokens, layers.Dense(12)(x)))
    out = numpy(Generator(model, max_length=6).generate(prompt=[[5]]).tokens)
    assert out[0].tolist() == slow_greedy(model, None, [5], 6, end=None)[0]
    generator = Generator(model, max_length=7)
    with pytest.raises(ValueError, match="7 tokens.*6 positions.*`sequence_length`"):
        generator.generate(prompt=[[5]])
    assert generator.trace_count == 0
    generator = Generator(model, max_length=3)
    for call in (generator.generate, lambda prompt: generator.score([[5]], prompt=prompt)):
        with pytest.raises(ValueError, match="prompt.*7 tokens.*6 positions"):
            call(prompt=[[5] * (5 if call == generator.generate else 7)])
    assert generator.trace_count == 0


def test_a_start_token_may_be_one_that_is_read_and_never_written():
    tokens = keras.Input((None,), dtype="int32")
    x = GRU(8, return_sequences=True)(layers.Embedding(11, 8)(tokens))
    model = keras.Model(tokens, layers.Dense(10)(x))
    assert Generator(model, max_length=2, start_token=10).generate().tokens.shape == (1, 2)
    with pytest.raises(ValueError, match="end_token"):
        Generator(model, max_length=2, start_token=10, end_token=10)
    small = keras.Model(tokens, layers.Dense(12)(x))
    with pytest.raises(ValueError, match="could not read what it writes"):
        Generator(small, max_length=2)


def test_outputs_in_a_dict_and_a_float_target():
    tokens = keras.Input((None,), dtype="int32")
    logits = layers.Dense(9)(GRU(4, return_sequences=True)(layers.Embedding(9, 4)(tokens)))
    in_dict = Generator(keras.Model(tokens, {"logits": logits}), max_length=2)
    bare = Generator(keras.Model(tokens, logits), max_length=2)
    got, expected = (numpy(g.generate(prompt=[[3]]).tokens) for g in (in_dict, bare))
    assert got.tolist() == expected.tolist()
    x = keras.Input((None, 4))
    with pytest.raises(ValueError, match="int token ids"):
        Generator(keras.Model(x, layers.Dense(3)(x)), max_length=2)


def test_every_id_of_a_list_is_a_token_and_an_array_is_padded():
    prompt, lengths = padded_prompt([[5, 0], [0, 7, 8]], 0, None)
    assert prompt.tolist() == [[5, 0, 0], [0, 7, 8]] and lengths.tolist() == [2, 3]
    for alike in ([[5, 0], [7, 8]], [[5, 0]]):  # of one length, too
        prompt, lengths = padded_prompt(alike, 0, None)
        assert prompt.tolist() == alike and lengths.tolist() == [2] * len(alike)
    _, lengths = padded_prompt(np.array([[5, 0], [7, 8]]), 0, None)
    assert lengths.tolist() == [1, 2]


def test_a_row_that_ends_with_a_pad_token_gets_the_same_with_and_without_a_shorter_row():
    generator = Generator(shaken(hybrid(), 3), max_length=3, **GRAPH)
    alone = numpy(generator.generate(prompt=[[5, 6, 0]]).tokens)
    beside = numpy(generator.generate(prompt=[[5, 6, 0], [7]]).tokens)
    assert alone[0].tolist() == beside[0].tolist()
    assert alone[0, 3:].tolist() == slow_greedy(generator.model, None, [5, 6, 0], 3, None)[0][3:]


def unmasked_reader(source_size=9):
    """Adds the mean embedding of all source ids, masked or not, to that of the token."""
    tokens = keras.Input((None,), dtype="int32", name="target")
    source = keras.Input((None,), dtype="int32", name="source")
    x = layers.Embedding(9, 4)(tokens)
    x = x + layers.GlobalAveragePooling1D(keepdims=True)(layers.Embedding(source_size, 4)(source))
    return shaken(keras.Model([source, tokens], layers.Dense(9)(x)))


@pytest.mark.parametrize(
    "model, options, padding",
    [
        (unmasked_reader, {}, 0),
        (unmasked_reader, {"pad_token": 7}, 7),
        (unmasked_reader, {"pad_token": 7, "source_pad_token": 5}, 5),
        (lambda: translator("gru"), {"pad_token": 7}, 0),  # mask_zero
        (lambda: translator("transformer"), {"pad_token": 7}, 0),
    ],
)
def test_lists_of_source_ids_are_padded_with_the_models_own_padding(model, options, padding):
    model = model()
    generator = Generator(model, 2, start_token=2, jit_compile=False, **options)
    ragged = generator.generate([[4, 6, 8], [8]])
    padded = generator.generate(np.array([[4, 6, 8], [8, padding, padding]]))
    np.testing.assert_allclose(numpy(ragged.scores), numpy(padded.scores), atol=1e-6)
    other = generator.generate(np.array([[4, 6, 8], [8, 4, 4]]))
    assert np.abs(numpy(ragged.scores) - numpy(other.scores))[1] > 1e-4
    with pytest.raises(ValueError, match="source_pad_token.*99"):
        Generator(model, 2, source_pad_token=99)


def test_a_sampler_may_keep_a_seed_generator_of_its_own():
    class Drawing:
        def __init__(self):
            self.seed = keras.random.SeedGenerator(3)

        def __call__(self, log_probabilities):
            tokens = keras.ops.cast(keras.ops.argmax(log_probabilities, axis=-1), "int32")
            return tokens, keras.ops.max(log_probabilities, axis=-1)

    generator = Generator(counting_model(), 2, sampler=Drawing(), jit_compile=False)
    assert numpy(generator.generate(prompt=[[4]]).tokens).tolist() == [[4, 5, 6]]
    with pytest.raises(ValueError, match="seed.*Drawing takes none"):
        generator.generate(prompt=[[4]], seed=1)
    Drawing.needs_seed = True
    generator = Generator(counting_model(), 2, sampler=Drawing(), jit_compile=False)
    with pytest.raises(TypeError, match="`seed` of `Drawing`.*SeedGenerator"):
        generator.generate(prompt=[[4]])


@pytest.mark.needs_tensorflow(reason="ragged tensors are TensorFlow's")
def test_ragged_tensors_are_read_as_lists_of_lists():
    import tensorflow as tf

    lists, ragged = [[5, 6], [7], [8, 0, 9]], tf.ragged.constant([[5, 6], [7], [8, 0, 9]])
    for got, expected in zip(
        padded_prompt(ragged, 0, 20), padded_prompt(lists, 0, 20), strict=True
    ):
        np.testing.assert_array_equal(got, expected)
    for got, expected in zip(
        padded_targets(ragged, 0, 20, [3]), padded_targets(lists, 0, 20, [3]), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_ints_of_the_context_that_no_embedding_reads_are_numbers():
    numbers = keras.Input((2,), dtype="int32", name="numbers")
    tokens = keras.Input((None,), dtype="int32", name="target")
    shift = keras.ops.expand_dims(layers.Dense(4)(keras.ops.cast(numbers, "float32")), 1)
    model = keras.Model([numbers, tokens], layers.Dense(9)(layers.Embedding(9, 4)(tokens) + shift))
    generator = Generator(model, 2, start_token=2, jit_compile=False)
    assert generator.generate([[5, -1000]]).tokens.shape == (1, 2)
    with pytest.raises(TypeError, match=r"inputs\['numbers'\].*float64"):
        generator.generate([[0.5, 1]])


def test_a_model_of_a_fixed_length_generates_and_says_what_it_cannot():
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = MultiHeadSelfAttention(2, 4, causal=True)(layers.Embedding(9, 8)(tokens))
    generator = Generator(keras.Model(tokens, layers.Dense(9)(x)), 3, jit_compile=False)
    assert generator.generate(prompt=[[4, 5]]).tokens.shape == (1, 5)
    assert generator.score([[4, 5]], prompt=[[1, 2, 3, 4, 5]]).scores.shape == (1,)
    for call in (
        lambda: generator.score([[4, 5]], prompt=[[1]]),
        lambda: generator.generate(prompt=[[4]], return_attention=True),
    ):
        with pytest.raises(ValueError, match=r"`tokens` takes 6\. Build .*Input\(\(None,\)\)"):
            call()


def test_a_prompt_that_is_no_list_of_rows_is_refused():
    with pytest.raises(ValueError, match="one list a row"):
        padded_prompt([5, 6, 7], 0, None)
    with pytest.raises(ValueError, match="Row 1 is empty"):
        padded_prompt([[1], []], 0, None)


def test_a_seed_gives_the_same_tokens_and_no_seed_other_ones():
    generator = Generator(hybrid(), max_length=8, sampler="random", **GRAPH)

    def draw(**seed):
        return numpy(generator.generate(prompt=[[5]] * 4, **seed).tokens).tolist()

    assert draw(seed=1) == draw(seed=1) != draw(seed=2)
    assert draw() != draw()
    keras.utils.set_random_seed(3)
    first = draw()
    keras.utils.set_random_seed(3)
    assert draw() == first
    assert len({tuple(row) for row in first}) > 1  # rows draw for themselves
    assert generator.trace_count == 1
    fixed = Generator(hybrid(), 2, sampler=RandomSampler(seed=4), jit_compile=False)
    assert fixed.sampler.seed == 4
    with pytest.raises(TypeError, match="seed"):
        generator.generate(prompt=[[5]], seed=0.5)


def test_pairs_of_tokens_are_drawn_as_often_as_their_joint_probability_says():
    """p(x_1, x_2) = p(x_1) p(x_2 | x_1): a chi-square test on many rows of one batch."""
    model, rows, size = shaken(hybrid(5, 8), seed=2, scale=0.5), 6000, 5
    generator = Generator(model, max_length=2, sampler="random", **GRAPH)
    tokens = numpy(generator.generate(prompt=[[1]] * rows, seed=11).tokens)
    pairs = np.array([[1, a] for a in range(size)])
    log_p = log_probabilities(model, pairs)  # (V, 2, V)
    joint = np.exp(log_p[0, 0][:, None] + log_p[:, 1]).ravel()
    counts = np.bincount(tokens[:, 1] * size + tokens[:, 2], minlength=size * size)
    likely = joint * rows > 5
    chi_square = ((counts - rows * joint) ** 2 / (rows * joint))[likely].sum()
    freedom = likely.sum() - 1
    assert freedom > 5 and chi_square < freedom + 4 * np.sqrt(2 * freedom)


@pytest.mark.parametrize("kind", ["transformer", "attention"])
def test_attention_is_that_of_the_choice_of_each_token(kind):
    if kind == "attention":
        tokens = keras.Input((None,), dtype="int32", name="target")
        source = keras.Input((None, 6), name="source")
        x = layers.Embedding(9, 8)(tokens)
        x = MultiHeadSelfAttention(2, 4, causal=True, name="own")(x)
        y = MultiHeadSelfAttention(2, 4, name="encoder")(layers.Dense(8)(source))
        x = x + MultiHeadCrossAttention(2, 4, name="cross")(x, y)
        model = shaken(keras.Model([source, tokens], layers.Dense(9)(x)))
        inputs, names = np.random.default_rng(0).normal(size=(2, 4, 6)), ["own", "cross"]
    else:
        model, inputs, names = translator(kind), sources(2, 4), ["decoder_0", "decoder_1"]
    generator = Generator(model, max_length=3, start_token=2, jit_compile=False)
    out = generator.generate(inputs, return_attention=True)
    assert list(out.attention) == names
    for name, weights in out.attention.items():
        assert weights.shape == (2, 2, 3, 3 if name == "own" else 4)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    read = np.concatenate([np.full((2, 1), 2), numpy(out.tokens)[:, :-1]], axis=1)
    whole = attention_scores(model, {"source": inputs, "target": read})
    np.testing.assert_array_equal(out.attention[names[-1]], whole[names[-1]])
    assert generator.generate(inputs).attention is None
    if kind == "attention":
        # As a prompt the same tokens have the same rows, those of the tokens after the first.
        again = generator.generate(inputs, [[2]] * 2, return_attention=True)
        assert again.tokens.shape == (2, 4) and again.attention["cross"].shape == (2, 2, 3, 4)
        np.testing.assert_allclose(again.attention["cross"], out.attention["cross"], atol=1e-6)


def test_attention_of_a_layer_called_on_both_sides_is_that_of_the_target():
    """The layer's second call, on the target, is the one that counts; plots are not needed."""
    tokens = keras.Input((None,), dtype="int32", name="target")
    source = keras.Input((None,), dtype="int32", name="source")
    embedding, cross = layers.Embedding(9, 8), MultiHeadCrossAttention(2, 4, name="cross")
    memory = embedding(source)
    x = embedding(tokens) + cross(embedding(tokens), cross(memory, memory))
    model = shaken(keras.Model([source, tokens], layers.Dense(9)(x)))
    generator = Generator(model, max_length=3, start_token=2, jit_compile=False)
    out = generator.generate(np.array([[4, 5, 6, 7]]), return_attention=True)
    assert {name: w.shape for name, w in out.attention.items()} == {"cross_call_2": (1, 2, 3, 4)}


def test_attention_needs_no_plots(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_seq.plots", None)  # an import of it raises
    generator = Generator(translator("transformer"), 2, start_token=2, jit_compile=False)
    assert len(generator.generate(sources(1), return_attention=True).attention) == 2


def test_attention_of_a_model_without_it_is_refused_before_any_computation():
    generator = Generator(counting_model(), max_length=3)
    with pytest.raises(ValueError, match="return_attention.*attention layer"):
        generator.generate(prompt=[[4]], return_attention=True)
    assert generator.trace_count == 0


def softmax_dense(x):
    return layers.Dense(9, activation="softmax")(x)


@pytest.mark.parametrize(
    "end",
    [
        softmax_dense,
        lambda x: layers.Softmax()(layers.Dense(9)(x)),
        lambda x: keras.ops.softmax(layers.Dense(9)(x)),
        lambda x: layers.Activation("softmax")(layers.Dense(9)(x)),
        lambda x: layers.Dropout(0.1)(softmax_dense(x)),
        lambda x: layers.Activation("linear", dtype="float32")(softmax_dense(x)),
        lambda x: layers.TimeDistributed(layers.Dense(9, activation="softmax"))(x),
        lambda x: keras.Sequential([layers.Dense(8), layers.Dense(9, activation="softmax")])(x),
    ],
)
def test_a_model_that_gives_probabilities_is_refused(end):
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 8)(tokens)
    with pytest.raises(ValueError, match="must be logits.*softmax.*from_logits=True"):
        Generator(keras.Model(tokens, end(x)), max_length=2)
    softmax_inside = layers.Dense(9)(layers.Activation("softmax")(x))
    Generator(keras.Model(tokens, softmax_inside), max_length=2)

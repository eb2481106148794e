"""Cached generation equals uncached generation, token for token, on random models."""

import keras
import numpy as np
from keras import ops

from keras_seq.generation import Generator
from tests.stepping.random_models import VOCABULARY_SIZE, random_model

END, NEW_TOKENS = 3, 6
NEAR_TIE = 1e-4  # where two logits are as close as this, rounding may choose


def pytest_generate_tests(metafunc):
    count = 20 if keras.backend.backend() == "tensorflow" else 3
    if metafunc.config.getoption("--all-random-models"):
        count = 200
    metafunc.parametrize("seed", range(count))


def random_prompts(seed):
    """Three prompts of different lengths, the shortest of one token."""
    rng = np.random.default_rng(1000 + seed)
    lengths = rng.permutation([1, int(rng.integers(2, 4)), int(rng.integers(4, 7))])
    # Neither padding nor the end.
    return [rng.integers(END + 1, VOCABULARY_SIZE, size=length).tolist() for length in lengths]


def uncached_greedy(model, context, prompt):
    """Greedy decoding of one row: the whole model on the tokens so far, for every token.

    Returns the tokens, their log-probability, and the smallest margin of the best logit.
    """
    tokens, score, margin = list(prompt), 0.0, np.inf
    for _ in range(NEW_TOKENS):
        x = np.array([tokens], "int32")
        inputs = {**context, "target": x} if context else x
        logits = ops.convert_to_numpy(model(inputs, training=False))[0, -1].astype("float64")
        second, first = np.sort(logits)[-2:]
        margin = min(margin, first - second)
        tokens.append(int(logits.argmax()))
        score -= np.log(np.exp(logits - first).sum())
        if tokens[-1] == END:
            break
    return tokens, score, margin


def test_cached_generation_equals_uncached_generation(seed):
    prompts = random_prompts(seed)
    model, context, pieces = random_model(seed, rows=len(prompts))
    generator = Generator(model, NEW_TOKENS, end_token=END, target="target", jit_compile=False)
    tokens, scores, *_ = generator.generate(context or None, prompts)
    tokens, scores = ops.convert_to_numpy(tokens), ops.convert_to_numpy(scores)
    ties = 0
    for row, prompt in enumerate(prompts):
        own = {name: array[row : row + 1] for name, array in context.items()}
        expected, score, margin = uncached_greedy(model, own, prompt)
        padded = expected + [0] * (tokens.shape[1] - len(expected))
        if margin < NEAR_TIE:
            ties += 1
            continue
        assert tokens[row].tolist() == padded, f"row {row} of {pieces}"
        np.testing.assert_allclose(scores[row], score, atol=1e-3, err_msg=f"row {row} of {pieces}")
    assert ties <= 1, "margins are too small to tell anything"

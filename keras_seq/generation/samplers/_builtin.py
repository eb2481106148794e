"""Samplers choose the next token from the model's distribution."""

from keras import ops

from keras_seq.generation._rows import entry
from keras_seq.generation.logits_processors._token_masks import FORBIDDEN
from keras_seq.generation.samplers._random_numbers import seed_words, uniform
from keras_seq.layers._arguments import check_positive, is_number


class GreedySampler:
    """Takes the likeliest token, the first of equals.

    Call arguments:
        log_probabilities: (B, V) floats.

    Returns:
        `(tokens, scores)`: (B,) int32 ids and their (B,) log-probabilities.

    Example:

    ```python
    import numpy as np
    import keras_seq

    sampler = keras_seq.generation.GreedySampler()
    tokens, scores = sampler(np.log([[0.1, 0.7, 0.2]]).astype("float32"))
    print(int(tokens[0]))  # 1
    ```
    """

    def __call__(self, log_probabilities):
        best = ops.max(log_probabilities, axis=-1, keepdims=True)
        # The smallest index of the best: `ops.argmax` becomes an operator that LiteRT lacks.
        ids = ops.arange(log_probabilities.shape[-1], dtype="int32")
        others = ops.less(log_probabilities, best)
        tokens = ops.min(ops.where(others, log_probabilities.shape[-1], ids), axis=-1)
        return tokens, ops.squeeze(best, -1)


class RandomSampler:
    r"""Draws a token from the model's distribution, made flatter or steeper by a temperature.

        P(x) = p(x)^(1/temperature) / sum_y p(y)^(1/temperature)

    The numbers come from a counter-based generator (Threefry-2x32, Salmon et al. 2011), a function
    of the seed, the row and the step alone: a seed gives the same tokens in one compiled loop or
    token by token, on every backend.

    Args:
        temperature: positive number in [1e-30, 1e30]; 1 is the model's own distribution, near 0 is
            greedy.
        seed: int in [0, 2^64), of every call that is given no seed of its own. `None`: a fresh one
            for each call.

    Call arguments:
        log_probabilities: (B, V) floats.
        seed: (2,) int32 tensor; or (3,), a seed and the step, which counts the numbers drawn.

    Returns:
        `(tokens, scores)`: (B,) int32 ids and their (B,) log-probabilities, as given.

    Raises:
        TypeError, ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.seq2seq_rnn(30, 20, embedding_dim=8, units=16)
    sampler = keras_seq.generation.RandomSampler(temperature=0.7)
    generator = keras_seq.generation.Generator(
        model, max_length=6, start_token=2, end_token=3, sampler=sampler
    )
    source = np.array([[5, 6, 7, 3]])
    first = generator.generate(source, seed=1).tokens
    again = generator.generate(source, seed=1).tokens
    np.testing.assert_array_equal(first, again)
    ```
    """

    needs_seed = True

    def __init__(self, temperature=1.0, seed=None):
        # 1e-30 is greedy long since, and less is nothing in float32.
        _check_number(type(self).__name__, "temperature", temperature, 1e-30, 1e30)
        if seed is not None:
            seed_words(seed, f"seed` of `{type(self).__name__}")
        self.temperature = temperature
        self.seed = seed

    def __call__(self, log_probabilities, seed):
        log_probabilities = ops.convert_to_tensor(log_probabilities)
        best = ops.max(log_probabilities, axis=-1, keepdims=True)
        weights = ops.exp((log_probabilities - best) / self.temperature)
        # No heat makes a token that must not be chosen likely.
        weights = ops.where(log_probabilities < FORBIDDEN / 2, ops.zeros_like(weights), weights)
        weights, ids = self.candidates(weights)
        tokens = _draw(weights, uniform(seed, ops.shape(weights)[0]))
        if ids is not None:
            tokens = entry(ids, tokens)
        return tokens, entry(log_probabilities, tokens)

    def candidates(self, weights):
        """What may be drawn.

        Args:
            weights: (B, V) floats, proportional to the probabilities.

        Returns:
            `(weights, ids)`: (B, C) weights, zero where a token may not be drawn, and the (B, C)
            ids that they belong to, or `None` for 0 to V - 1.
        """
        return weights, None


class TopKSampler(RandomSampler):
    """Draws from the `k` likeliest tokens (Fan et al. 2018, section 5.1).

    Args:
        k: how many tokens may be drawn; of equally likely ones the first.
        temperature: see `RandomSampler`.
        seed: see `RandomSampler`.

    Raises:
        TypeError, ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    sampler = keras_seq.generation.TopKSampler(k=2)
    probabilities = np.tile(np.array([[0.5, 0.3, 0.1, 0.1]], "float32"), (100, 1))
    tokens, _ = sampler(np.log(probabilities), seed=np.array([1, 2], "int32"))
    print(set(np.asarray(tokens)))  # 0 and 1
    ```
    """

    def __init__(self, k=5, temperature=1.0, seed=None):
        super().__init__(temperature, seed)
        check_positive(type(self).__name__, k=k)
        self.k = k

    def candidates(self, weights):
        return ops.top_k(weights, min(self.k, weights.shape[-1]))


class TopPSampler(RandomSampler):
    """Draws from the nucleus (Holtzman et al. 2020, section 3.1).

    The nucleus are the likeliest tokens, as many as it takes for their probabilities to sum up to
    more than `p`.

    Args:
        p: in (0, 1].
        k: only the `k` likeliest tokens are sorted and looked at, which is faster. `None`: all.
        temperature: see `RandomSampler`. It comes before the nucleus is cut.
        seed: see `RandomSampler`.

    Raises:
        TypeError, ValueError: if an argument is out of range.

    Example:

    ```python
    import numpy as np
    import keras_seq

    sampler = keras_seq.generation.TopPSampler(p=0.6)
    probabilities = np.tile(np.array([[0.5, 0.3, 0.1, 0.1]], "float32"), (100, 1))
    tokens, _ = sampler(np.log(probabilities), seed=np.array([1, 2], "int32"))
    print(set(np.asarray(tokens)))  # 0 and 1: together 0.8
    ```
    """

    def __init__(self, p=0.1, k=None, temperature=1.0, seed=None):
        super().__init__(temperature, seed)
        _check_number("TopPSampler", "p", p, 0, 1)
        if k is not None:
            check_positive("TopPSampler", k=k)
        self.p = p
        self.k = k

    def candidates(self, weights):
        total = ops.sum(weights, axis=-1, keepdims=True)
        size = weights.shape[-1] if self.k is None else min(self.k, weights.shape[-1])
        weights, ids = ops.top_k(weights, size)
        if self.p == 1:  # all, though the rounded sums of a large vocabulary reach 1 before its end
            return weights, ids
        # A token is in while those ahead of it sum up to p at most; the first one always.
        within = ops.cumsum(weights / total, axis=-1) <= self.p
        keep = ops.concatenate([ops.ones_like(within[:, :1]), within[:, :-1]], axis=-1)
        return ops.where(keep, weights, ops.zeros_like(weights)), ids


def _draw(weights, u):
    """Invert the cumulated distribution: the first index whose cumulated weight is above u.

    Args:
        weights: (B, C) floats, not all zero.
        u: (B,) floats in [0, 1).

    Returns:
        (B,) int32, never of a zero weight, however the sums are rounded.
    """
    cumulated = ops.cumsum(weights, axis=-1)
    threshold = ops.expand_dims(u, -1) * cumulated[:, -1:]
    size = weights.shape[-1]
    ids = ops.arange(size, dtype="int32")
    possible = weights > 0
    first = ops.min(ops.where(ops.logical_and(possible, cumulated > threshold), ids, size), axis=-1)
    return ops.minimum(first, ops.max(ops.where(possible, ids, 0), axis=-1))


def _check_number(owner, name, value, smallest, largest):
    if not is_number(value) or not smallest <= value <= largest or value <= 0:
        expected = f"[{smallest:g}, {largest:g}]" if smallest else f"(0, {largest}]"
        raise ValueError(
            f"`{name}` of {owner} must be a positive number in {expected}. "
            f"Received: {name}={value!r}"
        )

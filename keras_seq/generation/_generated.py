"""`Generated`: what a generator returns."""

from typing import Any, NamedTuple


class Generated(NamedTuple):
    """What `Generator.generate` returns.

    Attributes:
        tokens: (B, N) int32 ids. With a start token: the tokens after it. With a prompt: the prompt
            and the tokens after it. A row goes up to its end token, then padding. (B, n, N) from a
            `BeamSampler` with `num_return_sequences=n`, best first.
        scores: (B,) float32, or (B, n): natural logarithm of the probability of each row's
            new tokens by the model itself, the end token included, whatever sampler and processors
            chose them.
        steps: int32 scalar, how many times the model ran.
        attention: dict from layer name to (B, H, N, S) float32, or `None`: the attention
            weights over S positions when each of the `tokens` was chosen. With a prompt
            (B, H, N - 1, S): its first token was not chosen and has no row, so that row n belongs
            to `tokens[:, n + 1]`.
    """

    tokens: Any
    scores: Any
    steps: Any
    attention: Any = None

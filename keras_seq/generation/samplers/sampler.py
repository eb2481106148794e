"""`Sampler`: what chooses the next token of each row from a distribution."""

from keras_seq.saving._objects import Configured


class Sampler(Configured):
    """Chooses the next token of each row from the model's distribution.

    Any callable with this argument and this result is a sampler; deriving from this class only
    writes the two attributes down, and adds `get_config`, which `TextGenerator.save` needs of a
    sampler with arguments. A sampler is traced into the compiled loop, so it is written in
    `keras.ops`.

    Attributes:
        needs_seed: whether it is called with a `seed`. A sampler that draws sets it to `True` and
            makes its random numbers from the seed, with `keras_seq.generation.uniform` or
            `keras_seq.generation.categorical`. Then `Generator.generate(seed=...)` repeats a
            generation, in a compiled loop, in a stream, and on every backend.
        seed: int in [0, 2^64), of calls of the generator that are given no seed; `None`: another
            one for each call. It counts only where `needs_seed` is true.

    Call arguments:
        log_probabilities: (B, V) floats, natural logarithms; at most -1e9 / 2 where a token must
            not be chosen.
        seed: int32 tensor, only where `needs_seed` is true: what `uniform` takes, the seed of the
            whole generation with the number of the step.

    Returns:
        `(tokens, scores)`: (B,) ids and their (B,) log-probabilities.

    Example:

    ```python
    import keras
    import keras_seq

    class EpsilonGreedy(keras_seq.generation.Sampler):
        '''The likeliest token, or with probability epsilon any.'''

        needs_seed = True

        def __init__(self, epsilon, seed=None):
            self.epsilon, self.seed = epsilon, seed

        def __call__(self, log_probabilities, seed):
            ops = keras.ops
            batch, size = ops.shape(log_probabilities)[0], log_probabilities.shape[-1]
            u = keras_seq.generation.uniform(seed, batch)  # (B,) in [0, 1)
            best = ops.cast(ops.argmax(log_probabilities, axis=-1), "int32")
            # Where u < epsilon, u / epsilon is uniform, too.
            other = ops.cast(ops.minimum(u / self.epsilon, 0.9999999) * size, "int32")
            tokens = ops.where(u < self.epsilon, other, best)
            scores = ops.take_along_axis(log_probabilities, ops.expand_dims(tokens, -1), axis=-1)
            return tokens, ops.squeeze(scores, -1)

    model = keras_seq.models.decoder_only_transformer(20, num_layers=1, num_heads=2, hidden_dim=8)
    generator = keras_seq.generation.Generator(
        model, max_length=4, sampler=EpsilonGreedy(0.3), jit_compile=False
    )
    print(generator.generate(prompt=[[5, 6]], seed=1).tokens)
    ```
    """

    needs_seed = False
    seed = None

    def __call__(self, log_probabilities):
        raise NotImplementedError

"""`SearchStrategy`: how a `Generator` looks for sequences."""

from keras_seq.saving._objects import Configured


class SearchStrategy(Configured):
    """Looks for sequences with a stepped model: the loop over time.

    `Generator(sampler=...)` takes any object with a method `search`; `BeamSampler` is one, and a
    `Sampler` is searched with token by token. Deriving from this class only writes the attributes
    down, and adds `get_config`, which `TextGenerator.save` needs of one with arguments. To change
    what a beam search keeps, derive from `BeamSampler`, which has smaller hooks.

    Attributes:
        needs_seed: whether `start.seed` is wanted, for `keras_seq.generation.uniform`; a
            `Generator` then takes a `seed` at each call.
        seed: int of calls that are given no seed, or `None`.
        num_return_sequences: `None` where `search` gives one sequence a row, (B, L); n where it
            gives n, (B, n, L), best first.
        supports_stream: whether a token is final as soon as it is chosen. Then `begin` and
            `advance` must be there, too.

    Example:

    ```python
    import keras
    import keras_seq

    class FixedLengthGreedy(keras_seq.generation.SearchStrategy):
        '''The likeliest token at every step, whatever has ended; for prompts of one length.'''

        def search(self, generator, start):
            ops = keras.ops
            batch, total = ops.shape(start.tokens)[0], start.tokens.shape[1]
            tokens, state, scores = start.tokens, start.state, ops.zeros((batch,))
            for i in range(start.position, total):  # unrolled; ops.while_loop compiles faster
                logits, state = generator.stepper.step(tokens[:, i - 1 : i], state)
                log_p = ops.log_softmax(logits[:, 0], axis=-1)
                best = ops.cast(ops.argmax(log_p, axis=-1), "int32")
                scores = scores + ops.max(log_p, axis=-1)
                tokens = ops.concatenate(
                    [tokens[:, :i], ops.expand_dims(best, -1), tokens[:, i + 1 :]], axis=1
                )
            return tokens, scores, total - start.position

    model = keras_seq.models.decoder_only_transformer(20, num_layers=1, num_heads=2, hidden_dim=8)
    generator = keras_seq.generation.Generator(
        model, max_length=3, sampler=FixedLengthGreedy(), jit_compile=False
    )
    print(generator.generate(prompt=[[5, 6]]).tokens)  # (1, 5)
    ```
    """

    needs_seed = False
    seed = None
    num_return_sequences = None
    supports_stream = False

    def search(self, generator, start):
        """The whole search, in `keras.ops`; it is traced into one compiled function.

        Args:
            generator: the `Generator`. Of use are `generator.stepper.step(tokens, state)`, which
                gives logits (B, 1, V) and the next state; `generator.logits_processors(scores,
                tokens, position, prompt_lengths)`, false where there are none;
                `generator.vocabulary_size`, `generator.end_tokens` (a list) and
                `generator.pad_token`.
            start: where to begin. `start.tokens` (B, L) int32 are the prompts and room for the new
                tokens; `start.state` is the stepper's after all tokens left of
                `start.position - 1`; the first token to choose stands at `start.position`, a
                static int. `start.prompt_lengths` (B,) int32; `start.given_lengths` (B,) int32, how
                many tokens of a row are given by prompt and prefix and must stay, or `None` where
                no given token stands at `position` or right of it; `start.max_length`, static;
                `start.seed` (2,) int32 or `None`.

        Returns:
            `(tokens, scores, steps)`: (B, L) int32 with the new tokens, then padding, (B,) float32
            log-probabilities of the new tokens, and an int, how many steps were made; with
            `num_return_sequences` (B, n, L) and (B, n).
        """
        raise NotImplementedError

    def begin(self, start):
        """The variables of the loop before the first step of a stream."""
        raise NotImplementedError

    def advance(self, generator, start, variables):
        """The variables after a step of a stream.

        Args:
            generator: the `Generator`.
            start: what of `SearchStart` is the same at every step; `tokens`, `position` and the
                layers' states are `None`.
            variables: `(place, tokens, scores, finished, states of the layers)`.
        """
        raise NotImplementedError

"""`LogitsProcessor`: what changes the scores of the next token before one is chosen."""

from keras_seq.saving._objects import Configured


class LogitsProcessor(Configured):
    """Changes the scores of the next token before a sampler or a beam search chooses one.

    A `Generator` takes a list of processors, `logits_processors=[...]`, and applies them in their
    order at every step. Any callable with these arguments and this result is one; deriving from
    this class only adds the optional hooks `check` and `get_config`; `TextGenerator.save` needs the
    second of a processor with arguments.

    A processor is traced into the compiled loop and into exported files, so it is written in
    `keras.ops`, and each row of its result depends on the same row of its arguments alone: beam
    search calls it with a row for each beam.

    Attributes:
        min_length: how many new tokens it asks for at least; a `Generator` refuses a smaller
            `max_length`.

    Call arguments:
        scores: (B, V) float32: logits, or in a beam search log-probabilities.
        tokens: (B, L) int32: the tokens read and written so far. What stands at `position` and
            right of it means nothing.
        position: int32 scalar tensor, the place in `tokens` of the token to choose.
        prompt_lengths: (B,) int32: how many of a row's tokens are its prompt. The token to choose
            is new token number `position - prompt_lengths`, from 0 on. (Where prompts differ in
            length, it is negative while a row's prompt is still read, and the result is not used.)

    Returns:
        (B, V) scores. -inf, or any score of at most -1e9, forbids a token. A row to which no token
        is left ends there, as if an end token had come that has the probability one and is written
        as padding.

    Example:

    ```python
    import keras
    import keras_seq

    class Alternate(keras_seq.generation.LogitsProcessor):
        '''Even and odd ids alternate.'''

        def __call__(self, scores, tokens, position, prompt_lengths):
            last = keras.ops.take(tokens, position - 1, axis=1)       # (B,)
            ids = keras.ops.arange(scores.shape[-1], dtype="int32")   # (V,)
            same = keras.ops.equal(ids % 2, keras.ops.expand_dims(last % 2, -1))
            return keras.ops.where(same, float("-inf"), scores)

    model = keras_seq.models.decoder_only_transformer(20, num_layers=1, num_heads=2, hidden_dim=8)
    generator = keras_seq.generation.Generator(
        model, max_length=4, logits_processors=[Alternate()], jit_compile=False
    )
    print(generator.generate(prompt=[[5, 6]]).tokens)  # odd, even, odd, even, ...
    ```
    """

    min_length = 0

    def __call__(self, scores, tokens, position, prompt_lengths):
        raise NotImplementedError

    def check(self, generator):
        """Raise if the processor does not fit a `Generator`; called when one is built with it.

        Args:
            generator: it has `vocabulary_size`, `end_tokens`, `pad_token` and `max_length`.

        Raises:
            ValueError: naming what does not fit.
        """

"""`SampleText`: what the model writes after each epoch."""

import keras
import numpy as np

from keras_seq.training._event_log import EventLog, fenced


class SampleText(keras.callbacks.Callback):
    """Generates texts at the end of each epoch, prints them and writes them to TensorBoard.

    They come from the generator itself, which is compiled once and reads the weights as they are.
    Training is as without: no random number of it is drawn, and none of its states is touched.

    Args:
        generator: a `keras_seq.generation.Generator` of the model that is trained, or of a part of
            it (the model in a `TruncatedBPTT`). Or a function from a list of strings to a list of
            strings, such as a `TextGenerator`.
        prompts: list of strings to go on from; or, of a `Generator`, of lists of ids. `None`: one
            text, from the generator's `start_token`.
        tokenizer: of a `Generator`: what makes ids of prompts and texts of ids. An end id that it
            adds to a prompt is left out.
        seed: of a `Generator` whose sampler draws: the same numbers each epoch, so that texts
            differ by what the model has learned. `None`: those of the sampler.
        log_dir: folder for TensorBoard, tags `sample/0`, `sample/1`, ... `None`: texts are printed
            only. Needs TensorFlow, on every backend.

    Raises:
        ImportError: if there is a `log_dir` and no TensorFlow.
        TypeError: if `generator` is neither, or `prompts` is one string.
        ValueError: if a `Generator` has no `tokenizer`, or a function no `prompts`.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq
    from keras_seq.training import SampleText

    class Letters:  # a tokenizer: ids of strings, and a string of ids
        def __call__(self, texts):
            return [[ord(c) - 96 for c in text] for text in texts]

        def detokenize(self, ids):
            return "".join(chr(i + 96) for i in ids)

    tokens = keras.Input((None,), dtype="int32")
    model = keras.Model(tokens, keras.layers.Embedding(27, 27)(tokens))  # pairs of letters
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    generator = keras_seq.generation.Generator(
        model, max_length=8, sampler="random", banned_tokens=[0]
    )
    sample = SampleText(generator, ["ab", "abc"], Letters())
    text = np.tile(np.arange(1, 27), (4, 1))
    model.fit(text[:, :-1], text[:, 1:], epochs=2, callbacks=[sample], verbose=0)
    ```
    """

    without_state = ("generator", "tokenizer", "prompts", "log")  # see `CallbackStates`

    def __init__(self, generator, prompts=None, tokenizer=None, seed=0, log_dir=None):
        super().__init__()
        self.generator = generator
        self.prompts = prompts if prompts is None else _checked_prompts(prompts)
        self.tokenizer = tokenizer
        self.seed = seed
        self.log = EventLog("SampleText", log_dir)
        if hasattr(generator, "generate"):
            if tokenizer is None:
                raise ValueError(
                    "`tokenizer` of SampleText must be given with a Generator, whose ids it makes "
                    "texts of. A TextGenerator has its own."
                )
        elif not callable(generator):
            raise TypeError(
                "`generator` of SampleText must be a keras_seq.generation.Generator or a function "
                f"of a list of strings, such as a TextGenerator. Received: {type(generator)}"
            )
        elif prompts is None:
            raise ValueError(
                "`prompts` of SampleText must be given where `generator` is a function of texts. "
                "Received: None"
            )

    def on_epoch_end(self, epoch, logs=None):
        texts = self.sample()
        print(f"\nSamples of epoch {epoch + 1}:")
        for i, text in enumerate(texts):
            print(f"  {text}")
            self.log.text(f"sample/{i}", fenced(text), epoch)

    def on_train_end(self, logs=None):
        self.log.close()

    def sample(self):
        """List of texts, as the model is now: of a `Generator` with their prompts."""
        if self.tokenizer is None:
            return [str(text) for text in self.generator(self.prompts)]
        draws = getattr(self.generator.strategy, "needs_seed", False)
        prompts = None if self.prompts is None else [self._ids(p) for p in self.prompts]
        tokens = self.generator.generate(prompt=prompts, seed=self.seed if draws else None).tokens
        return [
            self.tokenizer.detokenize(self._up_to_end(row, len(prompt)))
            for row, prompt in zip(keras.ops.convert_to_numpy(tokens), prompts or [[]], strict=True)
        ]

    def _ids(self, prompt):
        if not isinstance(prompt, str):
            return [int(token) for token in prompt]
        ids = [int(token) for token in next(iter(self.tokenizer([prompt])))]
        while ids and ids[-1] in self.generator.end_tokens:
            ids.pop()
        return ids

    def _up_to_end(self, row, begin):
        """The ids of a row up to its first end token after the prompt, or to its padding."""
        over = np.isin(row, [*self.generator.end_tokens, self.generator.pad_token])
        over[:begin] = False
        return row[: np.argmax(over) if over.any() else None].tolist()


def _checked_prompts(prompts):
    if isinstance(prompts, str):
        raise TypeError(
            f"`prompts` of SampleText must be a list. Received: the one string {prompts!r}"
        )
    return list(prompts)

"""`TextGenerator`: from strings to strings."""

import warnings

import numpy as np
from keras import ops

from keras_seq.generation._generator_config import generator_config, generator_of
from keras_seq.generation._padding import padded_width
from keras_seq.generation._texts import check_texts, check_vocabulary, padded_rows
from keras_seq.generation._token_ids import lengths_to_last, padded_to
from keras_seq.generation.samplers._random_numbers import seed_words
from keras_seq.layers._arguments import check_positive
from keras_seq.saving._archive import load_archive, save_archive
from keras_seq.stepping._embeddings import vocabulary_size

UNKNOWN_PIECES = ("<unk>", "[UNK]")  # of SentencePiece, of WordPiece


class TextGenerator:
    r"""Puts a tokenizer on each side of a `Generator`: source strings in, target strings out.

    The source is tokenized, padded to one of a few widths (so that few shapes are compiled),
    generated from in batches, and the tokens up to the end token are turned back into text.

    Where the model has no context input (a language model), the texts are prompts: after the start
    token, if the generator has one, come a prompt's ids without end token, and what is given back
    is the prompt with what follows it.

    Args:
        generator: a `Generator` with one context input of token ids, a start and an end token, or
            with none.
        source_tokenizer: KerasHub tokenizer of the source. It makes exactly the ids that the model
            was trained on (an end id included, if that was so).
        target_tokenizer: KerasHub tokenizer of the target, used to detokenize. `None`: that of the
            source.
        source_length: the largest number of source ids. `None`: as many as the model has positions
            for (the `sequence_length` of its embeddings), or no limit.
        batch_size: how many sources to generate from at once.
        unknown: what to do about characters that the source tokenizer does not know: `"warn"`,
            `"error"` or `"ignore"`.

    Raises:
        ValueError: if the generator has several context inputs, or one and no start or no end
            token, or a tokenizer's vocabulary or the `source_length` does not fit the model.

    Example:

    ```python
    import keras_seq
    from keras_seq.data import train_tokenizer

    sources, targets = ["one two", "two three"], ["eins zwei", "zwei drei"]
    source_tokenizer = train_tokenizer(sources, kind="character", add_end=True)
    target_tokenizer = train_tokenizer(targets, kind="character")
    model = keras_seq.models.seq2seq_rnn(
        source_tokenizer.vocabulary_size(), target_tokenizer.vocabulary_size(), 8, 16
    )
    generator = keras_seq.generation.Generator(model, max_length=12, start_token=2, end_token=3)
    translate = keras_seq.generation.TextGenerator(generator, source_tokenizer, target_tokenizer)
    print(translate(["one", "three two"]))  # two strings (of an untrained model)

    translate.save("translator.keras_seq")  # the model, the tokenizers and all settings
    again = keras_seq.generation.TextGenerator.load("translator.keras_seq")
    assert again("one") == translate("one")
    ```
    """

    unknown_choices = ("warn", "error", "ignore")

    def __init__(
        self,
        generator,
        source_tokenizer,
        target_tokenizer=None,
        source_length=None,
        batch_size=64,
        unknown="warn",
    ):
        context = generator.stepper.context_inputs
        if len(context) > 1:
            raise ValueError(
                "TextGenerator needs a model with one context input, the source ids, or none. "
                f"Received a model with context inputs {context}"
            )
        for name, value in (
            ("start_token", generator.start_token),
            ("end_token", generator.end_tokens),
        ):
            if context and (value is None or value == []):
                raise ValueError(f"The generator of TextGenerator must be built with `{name}`.")
        if unknown not in self.unknown_choices:
            raise ValueError(
                f"`unknown` of TextGenerator must be one of {self.unknown_choices}. "
                f"Received: {unknown!r}"
            )
        check_positive("TextGenerator", batch_size=batch_size, source_length=source_length or 1)
        self.generator = generator
        self.source_input = context[0] if context else None
        self.source_pad_token = generator.pad_token
        if context:
            self.source_pad_token = generator.source_padding(context[0])
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = source_tokenizer if target_tokenizer is None else target_tokenizer
        self.source_length = self._checked_length(source_length)
        self.batch_size = batch_size
        self.unknown = unknown
        known = generator.input_size
        if context:
            known = vocabulary_size(generator.model, context[0])
        check_vocabulary("source_tokenizer", source_tokenizer, known)
        check_vocabulary("target_tokenizer", self.target_tokenizer, generator.vocabulary_size)

    def _checked_length(self, source_length):
        graph = self.generator.stepper.graph
        source = self.source_input
        self.fixed_width = None if source is None else graph.inputs[source].shape[1]
        operations = [step.operation_or_none for step in graph.context_steps]
        lengths = [getattr(operation, "sequence_length", None) for operation in operations]
        limits = [n for n in (self.fixed_width, *lengths) if isinstance(n, int)]
        limit = min(limits, default=None)
        if source_length is None or limit is None:
            return limit if source_length is None else source_length
        if source_length > limit:
            raise ValueError(
                f"`source_length` of TextGenerator must be at most {limit}, for the model reads no "
                f"longer source. Received: {source_length}"
            )
        return source_length

    def __call__(self, texts, max_length=None, seed=None):
        """Generate a text for each text.

        Args:
            texts: a string or a list of strings.
            max_length: see `Generator.generate`.
            seed: see `Generator.generate`; each batch draws numbers of its own from it.

        Returns:
            A string or a list of strings, as `texts`; lists of strings in their place, best first,
            where the sampler returns all beams.

        Raises:
            TypeError: if `texts` are not strings.
            ValueError: if a text is empty or has more than `source_length` tokens, or has
                characters outside the vocabulary and `unknown="error"`.
        """
        if seed is None:
            seed = getattr(self.generator.strategy, "seed", None)
        seed_words(seed)
        single = isinstance(texts, str)
        sources = self._ids([texts] if single else texts)
        width, results = self._width(sources), []
        for start in range(0, len(sources), self.batch_size):
            batch = sources[start : start + self.batch_size]
            rows = len(batch)
            batch = batch + batch[-1:] * (padded_rows(rows, self.batch_size) - rows)
            drawn = None if seed is None else np.random.SeedSequence([seed, start])
            prompted = self.source_input is None
            tokens = self.generator.generate(
                None if prompted else {self.source_input: self._padded(batch, width)},
                prompt=batch if prompted else None,
                max_length=max_length,
                seed=None if drawn is None else int(drawn.generate_state(1, "uint64")[0]),
            ).tokens
            prompts = [len(row) for row in batch] if prompted else None
            results.extend(self.detokenize(ops.convert_to_numpy(tokens), prompts)[:rows])
        return results[0] if single else results

    def tokenize(self, texts):
        """Check and tokenize source texts.

        Args:
            texts: list of strings.

        Returns:
            (B, S) int32 ids, padded on the right with `source_pad_token`; S is the longest row's
            length or a little more.

        Raises:
            TypeError, ValueError: see `__call__`.
        """
        ids = self._ids(texts)
        return self._padded(ids, self._width(ids))

    def _ids(self, texts):
        """Lists of ids, a list for each text; those of prompts begin with the start token."""
        check_texts(texts, may_be_empty=self.source_input is None)
        ids = [list(row) for row in self.source_tokenizer(list(texts))]
        lengths = [len(row) for row in ids]
        longest = max(lengths)
        if self.source_length is not None and longest > self.source_length:
            row = lengths.index(longest)
            raise ValueError(
                f"A source text has {longest} tokens and at most "
                f"source_length={self.source_length} are allowed: "
                f"{texts[row][:80]!r}. Split it into shorter texts."
            )
        self._check_unknown(texts, ids)
        return ids if self.source_input is not None else self._prompts(ids)

    def _prompts(self, rows):
        """Ids of prompts: one goes on from them, so the end token of the tokenizer is left out."""
        generator = self.generator
        start = [] if generator.start_token is None else [generator.start_token]
        prompts = []
        for i, row in enumerate(rows):
            row = row[:-1] if row and row[-1] in generator.end_tokens else row
            if not start + row:
                raise ValueError(
                    f"`texts` must hold prompts of at least one token, or the Generator be built "
                    f"with a `start_token`. Received at {i}: no token"
                )
            prompts.append([*start, *map(int, row)])
        return prompts

    def _width(self, ids):
        if self.fixed_width is not None:
            return self.fixed_width
        return padded_width(max(map(len, ids)), self.source_length or float("inf"))

    def _padded(self, ids, width):
        return padded_to(width, ids, self.source_pad_token)

    def save(self, path):
        """Write all that it is made of to one file, a zip that `load` reads.

        Model (without optimizer), tokenizers, special ids, lengths, sampler, logits processors. The
        file appears whole or not at all, and replaces one that is there.

        Args:
            path: of the file.

        Raises:
            TypeError: if a part cannot be saved (a Python function, a sampler or processor that is
                not registered with Keras, a Lambda layer), before anything is written.
            OSError: if nothing can be written to `path`, or something else is there.
        """
        config = {
            "generator": generator_config(self.generator),
            "source_length": None if self.source_length is None else int(self.source_length),
            "batch_size": int(self.batch_size),
            "unknown": self.unknown,
        }
        tokenizers = {
            name: getattr(self, name) for name in ("source_tokenizer", "target_tokenizer")
        }
        save_archive(path, "TextGenerator", config, self.generator.model, tokenizers)

    @classmethod
    def load(cls, path):
        """A `TextGenerator` that gives the same texts as the one that was saved.

        Keras loads the model in its safe mode, no code comes from the file, and classes of your own
        must have been registered with Keras before.

        Args:
            path: of a file that `save` wrote.

        Raises:
            ValueError: if there is no such file, it is another one or damaged, or names a class
                that is not registered.
        """
        config, model, tokenizers = load_archive(path, "TextGenerator")
        generator = generator_of(config.pop("generator"), model)
        return cls(generator, **tokenizers, **config)

    def detokenize(self, tokens, prompt_lengths=None):
        """Target ids to strings, each up to its end token.

        Args:
            tokens: (B, N) or (B, num_beams, N) int ids.
            prompt_lengths: of a model without context input: list of how many ids of each row are
                its prompt, start token included, in which nothing ends a text.

        Returns:
            List of B strings, or of B lists of strings.
        """
        tokens = np.asarray(tokens)
        if prompt_lengths is None:
            prompt_lengths = [0] * len(tokens)
        if tokens.ndim == 3:
            pairs = zip(tokens, prompt_lengths, strict=True)
            return [self.detokenize(beams, [length] * len(beams)) for beams, length in pairs]
        ended = np.isin(tokens, self.generator.end_tokens)
        ended &= np.arange(tokens.shape[1]) >= np.reshape(prompt_lengths, (-1, 1))
        beyond = np.cumsum(ended, axis=1) > 0
        # A row that ended without an end token, or never began, is padded, too.
        lengths = lengths_to_last((tokens != self.generator.pad_token) & ~beyond)
        started = self.source_input is None and self.generator.start_token is not None
        rows = [row[int(started) : n].tolist() for row, n in zip(tokens, lengths, strict=True)]
        return [str(self.target_tokenizer.detokenize(row)) if row else "" for row in rows]

    def _check_unknown(self, texts, ids):
        vocabulary = self.source_tokenizer.get_vocabulary()
        unknown = {i for i, piece in enumerate(vocabulary) if piece in UNKNOWN_PIECES}
        rows = [i for i, row in enumerate(ids) if unknown & set(row)]
        if self.unknown == "ignore" or not rows:
            return
        known = set("".join(vocabulary))
        characters = sorted({c for i in rows for c in texts[i] if c not in known and c != " "})
        message = (
            f"{len(rows)} of {len(texts)} source texts have characters outside the vocabulary, "
            f"{' '.join(characters) or 'unknown pieces'} (first: {texts[rows[0]][:80]!r}); they "
            "are read as the unknown token."
        )
        if self.unknown == "error":
            raise ValueError(message.replace("they are read", "they would be read"))
        warnings.warn(message, UserWarning, stacklevel=4)

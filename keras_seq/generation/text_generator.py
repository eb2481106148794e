"""`TextGenerator`: from strings to strings."""

import warnings

import numpy as np
from keras import ops

from keras_seq.generation._padding import padded_width
from keras_seq.generation._text import check_encodable
from keras_seq.generation._token_ids import lengths_to_last
from keras_seq.generation.samplers._random_numbers import seed_words
from keras_seq.layers._arguments import check_positive
from keras_seq.stepping._embeddings import vocabulary_size

UNKNOWN_PIECES = ("<unk>", "[UNK]")  # of SentencePiece, of WordPiece


class TextGenerator:
    r"""Puts a tokenizer on each side of a `Generator`: source strings in, target strings out.

    The source is tokenized, padded to one of a few widths (so that few shapes are compiled),
    generated from in batches, and the tokens up to the end token are turned back into text.

    Args:
        generator: a `Generator` with one context input of token ids, a start and an end token.
        source_tokenizer: KerasHub tokenizer of the source. It makes exactly the ids that the model
            was trained on (an end id included, if that was so).
        target_tokenizer: KerasHub tokenizer of the target, used to detokenize.
        source_length: the largest number of source ids. `None`: as many as the model has positions
            for (the `sequence_length` of its embeddings), or no limit.
        batch_size: how many sources to generate from at once.
        unknown: what to do about characters that the source tokenizer does not know: `"warn"`,
            `"error"` or `"ignore"`.

    Raises:
        ValueError: if the generator has no single context input, no start or no end token, or a
            tokenizer's vocabulary or the `source_length` does not fit the model.

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
    ```
    """

    unknown_choices = ("warn", "error", "ignore")

    def __init__(
        self,
        generator,
        source_tokenizer,
        target_tokenizer,
        source_length=None,
        batch_size=64,
        unknown="warn",
    ):
        context = generator.stepper.context_inputs
        if len(context) != 1:
            raise ValueError(
                "TextGenerator needs a model with one context input, the source ids. "
                f"Received a model with context inputs {context}"
            )
        for name, value in (
            ("start_token", generator.start_token),
            ("end_token", generator.end_tokens),
        ):
            if value is None or value == []:
                raise ValueError(f"The generator of TextGenerator must be built with `{name}`.")
        if unknown not in self.unknown_choices:
            raise ValueError(
                f"`unknown` of TextGenerator must be one of {self.unknown_choices}. "
                f"Received: {unknown!r}"
            )
        check_positive("TextGenerator", batch_size=batch_size, source_length=source_length or 1)
        self.generator = generator
        self.source_input = context[0]
        self.source_pad_token = generator.source_padding(context[0])
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.source_length = self._checked_length(source_length)
        self.batch_size = batch_size
        self.unknown = unknown
        self._check_vocabulary(
            "source_tokenizer", source_tokenizer, vocabulary_size(generator.model, context[0])
        )
        self._check_vocabulary("target_tokenizer", target_tokenizer, generator.vocabulary_size)

    def _check_vocabulary(self, name, tokenizer, limit):
        size = tokenizer.vocabulary_size()
        if limit is not None and size > limit:
            raise ValueError(
                f"`{name}` has {size} ids and the model knows {limit}. Use the tokenizer that the "
                "model was trained with."
            )

    def _checked_length(self, source_length):
        graph = self.generator.stepper.graph
        self.fixed_width = graph.inputs[self.source_input].shape[1]
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
        sources = self.tokenize([texts] if single else texts)
        results = []
        for start in range(0, len(sources), self.batch_size):
            batch = sources[start : start + self.batch_size]
            rows = len(batch)
            # Few batch sizes, so that few shapes are compiled: whole batches and powers of two.
            padded_rows = min(self.batch_size, 1 << (rows - 1).bit_length())
            batch = np.concatenate([batch, np.repeat(batch[-1:], padded_rows - rows, axis=0)])
            drawn = None if seed is None else np.random.SeedSequence([seed, start])
            tokens = self.generator.generate(
                {self.source_input: batch},
                max_length=max_length,
                seed=None if drawn is None else int(drawn.generate_state(1, "uint64")[0]),
            ).tokens
            results.extend(self.detokenize(ops.convert_to_numpy(tokens)[:rows]))
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
        self._check_texts(texts)
        for text in texts:
            check_encodable("texts", text)
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
        width = self.fixed_width
        if width is None:
            width = padded_width(longest, self.source_length or float("inf"))
        padded = np.full((len(ids), width), self.source_pad_token, "int32")
        for row, values in zip(padded, ids, strict=True):
            row[: len(values)] = values
        return padded

    def detokenize(self, tokens):
        """Target ids to strings, each up to its end token.

        Args:
            tokens: (B, N) or (B, num_beams, N) int ids.

        Returns:
            List of B strings, or of B lists of strings.
        """
        tokens = np.asarray(tokens)
        if tokens.ndim == 3:
            return [self.detokenize(beams) for beams in tokens]
        ended = np.isin(tokens, self.generator.end_tokens)
        beyond = np.cumsum(ended, axis=1) > 0
        # A row that ended without an end token, or never began, is padded, too.
        lengths = lengths_to_last((tokens != self.generator.pad_token) & ~beyond)
        rows = [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]
        return [str(self.target_tokenizer.detokenize(row)) if row else "" for row in rows]

    def _check_texts(self, texts):
        if not isinstance(texts, (list, tuple)):
            raise TypeError(
                f"`texts` must be a string or a list of strings. Received: {type(texts).__name__}"
            )
        if not texts:
            raise ValueError("`texts` must hold at least one string. Received an empty list.")
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(
                    f"`texts` must hold strings. Received at {i}: {type(text).__name__}"
                )
            if not text.strip():
                raise ValueError(
                    "`texts` must hold strings with something to translate. "
                    f"Received at {i}: {text!r}"
                )

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

"""`LiteRTGenerator`: a generation loop in a file, from strings or ids."""

import numpy as np

from keras_seq.runtime._interpreter import LoadedFile, checked
from keras_seq.runtime._tokenizers import load_tokenizer


class LiteRTGenerator:
    """Runs a file of `keras_seq.export.to_litert` of a `Generator` or `TextGenerator`.

    Args:
        path: of the file.
        num_threads: of a call.

    Raises:
        ImportError: without ai-edge-litert; without sentencepiece, if a tokenizer is of its kinds.
        ValueError: if there is no such file, or it is none of a generator.

    Example:

    ```python
    import keras_seq
    from keras_seq.data import train_tokenizer
    from keras_seq.generation import Generator, TextGenerator
    from keras_seq.runtime import LiteRTGenerator

    source = train_tokenizer(["one two"], kind="word", add_end=True)
    target = train_tokenizer(["eins zwei"], kind="word")
    model = keras_seq.models.seq2seq_rnn(source.vocabulary_size(), target.vocabulary_size(), 8, 16)
    generator = Generator(model, max_length=6, start_token=2, end_token=3)
    translate = TextGenerator(generator, source, target, source_length=8)
    keras_seq.export.to_litert(translate, "translator.tflite")

    on_device = LiteRTGenerator("translator.tflite")
    print(on_device("two one"), on_device(["one", "two"]))  # as translate("two one"), ...

    keras_seq.export.to_litert(translate, "translator.tflite", streaming=True)
    for piece in LiteRTGenerator("translator.tflite")("two one", stream=True):
        print(piece, end="", flush=True)
    ```
    """

    def __init__(self, path, num_threads=1):
        file = LoadedFile(path, num_threads)
        self._file, (self._run, self._inputs) = file, file.function("generate")
        self._metadata = file.metadata
        self._tokenizers = {
            name: load_tokenizer(file.files, self._metadata["tokenizers"][name])
            for name in self._metadata.get("tokenizers", ())
        }
        rows = (d["shape_signature"][0] for n, d in self._inputs.items() if n != "seed")
        self.batch_size = int(next(rows))

    def __call__(self, texts, seed=None, stream=False):
        """Generate a text for each text.

        Args:
            texts: a string, or a list of strings.
            seed: int, where the file draws; the same gives the same texts, and of one text that of
                the `TextGenerator` that was exported.
            stream: give the text piece by piece, as its tokens are chosen. It takes one text, and a
                file that was exported with `streaming=True`.

        Returns:
            A string or a list of strings, as `texts`; an iterator of strings, which joined are the
            text, where `stream` is true.

        Raises:
            TypeError: if `texts` are not strings.
            ValueError: if the file has no tokenizers, a text has more tokens than the file takes,
                the file draws and no `seed` is given, or it cannot be streamed.
        """
        single = isinstance(texts, str)
        if stream and not single:
            raise ValueError("`texts` must be one string with `stream=True`. Received a list.")
        texts = [texts] if single else list(texts)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError(f"`texts` must be a string or strings. Received: {texts!r}")
        rows = [self.tokenize(text) for text in texts]
        name = self._metadata["source_input"] or "prompt"
        drawn = seed if seed is None else _batch_seed(seed, 0)
        if stream:
            columns = self.generate({name: rows}, drawn, stream=True)
            return self._pieces(rows[0] if name == "prompt" else [], columns)
        tokens, _ = self.generate({name: rows}, drawn)
        starts = [len(row) for row in rows] if name == "prompt" else [0] * len(rows)
        results = [self.detokenize(*pair) for pair in zip(tokens, starts, strict=True)]
        return results[0] if single else results

    def _pieces(self, prompt, columns):
        """The text of a prompt and what follows, in pieces; none ends within a character."""
        tokens, shown = list(prompt), ""
        for column in columns:
            tokens.append(int(column[0]))
            text = self.detokenize(tokens, len(prompt))
            if text.startswith(shown) and len(text) > len(shown) and not text.endswith("\ufffd"):
                yield text[len(shown) :]
                shown = text
        rest = self.detokenize(tokens, len(prompt))[len(shown) :]
        if rest:
            yield rest

    def generate(self, inputs, seed=None, stream=False):
        """From ids to ids.

        Args:
            inputs: dict from the name of an input to N rows: (N, ...) array, or for ids N lists,
                which are padded.
            seed: int, where the file draws: for the first batch that of `Generator.generate`.
            stream: give the tokens one by one, as `Generator.stream` does, of at most as many rows
                as the file takes at once. It takes a file that was exported with `streaming=True`.

        Returns:
            `(tokens, scores)`: (N, L) int32 and (N,) float32, as `Generator.generate` gives them;
            an iterator of (N,) int32 where `stream` is true.

        Raises:
            ValueError: if an input is missing, unknown, or does not fit the file.
        """
        count, batches = self._batches(inputs)
        if stream:
            return self._stream(count, batches, self._seed(seed, 0))
        parts = [
            self._run(**batch, **self._seed(seed, number * self.batch_size))
            for number, batch in enumerate(batches)
        ]
        tokens, scores = (
            np.concatenate([part[name] for part in parts])[:count] for name in ("tokens", "scores")
        )
        return tokens, scores

    def _stream(self, count, batches, seed):
        """An iterator of (N,) ids; arguments are checked before its first."""
        if count > self.batch_size:
            raise ValueError(
                f"`inputs` must have at most {self.batch_size} rows with `stream=True`, as many as "
                f"the file takes at once. Received: {count}"
            )
        if "prefill" not in self._file.signatures:
            raise ValueError(
                f"{self._file.path!r} gives no token before the last: export it with "
                "`to_litert(..., streaming=True)`."
            )
        (prefill, _), (step, _) = self._file.function("prefill"), self._file.function("step")
        (batch,) = batches

        def columns():
            outputs, state = prefill(**batch, **seed), {}
            while True:
                yield outputs["token"][:count]
                if outputs["finished"].all():
                    return
                state.update({n: x for n, x in outputs.items() if n.startswith("state_")})
                outputs = step(**state)

        return columns()

    def tokenize(self, text):
        """The ids of a string that the file is called with: those of the source, or of a prompt."""
        if not self._tokenizers:
            raise ValueError(
                "The file has no tokenizers: export a TextGenerator, or call `generate` with ids."
            )
        ids, meta = self._tokenizers["source_tokenizer"](text), self._metadata
        if meta["source_input"] is not None:
            return ids
        ids = ids[:-1] if ids and ids[-1] in meta["end_tokens"] else ids
        return [*([] if meta["start_token"] is None else [meta["start_token"]]), *ids]

    def detokenize(self, tokens, prompt_length=0):
        """The text of (L,) target ids up to the first end token behind the prompt."""
        meta, ids = self._metadata, [int(t) for t in tokens]
        ends = (i for i, t in enumerate(ids) if t in meta["end_tokens"] and i >= prompt_length)
        ids = ids[: next(ends, len(ids))]
        while ids and ids[-1] == meta["pad_token"]:
            ids.pop()
        started = meta["source_input"] is None and meta["start_token"] is not None and prompt_length
        return self._tokenizers["target_tokenizer"].detokenize(ids[int(bool(started)) :])

    def _seed(self, seed, begin):
        """What the file draws from for the rows from `begin` on, as the dict of its input."""
        if "seed" not in self._inputs:
            if seed is not None:
                raise ValueError(f"The file draws no tokens and takes no `seed`. Received: {seed}")
            return {}
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ValueError(
                f"`seed` must be an int from 0 to 2^64, for the file draws. Received: {seed}"
            )
        if begin:
            seed = _batch_seed(seed, begin)
        return {"seed": np.array([seed % 2**32, seed >> 32], "uint32").view("int32")}

    def _batches(self, inputs):
        """`(N, batches)`: dicts of arrays of the shapes that the file takes; the last repeats rows.

        Where a length is open, it is that of a batch's longest row.
        """
        needed = set(self._inputs) - {"seed"}
        counts = {name: len(rows) for name, rows in inputs.items()}
        if set(counts) != needed or len(set(counts.values())) != 1 or not min(counts.values()):
            raise ValueError(
                f"`inputs` must hold {sorted(needed)} by name, of equal numbers of rows. "
                f"Received: {counts}"
            )
        count, size = next(iter(counts.values())), self.batch_size
        batches = []
        for begin in range(0, count, size):
            places = np.minimum(np.arange(begin, begin + size), count - 1)
            batches.append(
                {name: self._array(name, [x[i] for i in places]) for name, x in inputs.items()}
            )
        return count, batches

    def _array(self, name, rows):
        """An input for B rows."""
        details = self._inputs[name]
        shape = [int(n) for n in details["shape_signature"]]
        if len(shape) == 2 and np.issubdtype(details["dtype"], np.integer):
            rows = self._padded(name, rows, shape[1])
        return checked(name, rows, details)

    def _padded(self, name, rows, width):
        """(B, width) ids, or as wide as the longest row where the width is open, -1."""
        longest = max(map(len, rows))
        limits = [self._metadata.get("longest", {}).get(name), width if width >= 0 else None]
        limit = min((n for n in limits if n is not None), default=longest)
        if longest > limit:
            raise ValueError(f"`{name}` must have at most {limit} ids a row. Received: {longest}")
        pads = self._metadata.get("padding", {})
        padded = np.full((len(rows), max(width, longest, 1)), pads.get(name, 0), "int32")
        for row, ids in zip(padded, rows, strict=True):
            row[: len(ids)] = ids
        return padded


def _batch_seed(seed, begin):
    """The seed of the batch whose first row is `begin`, as in `TextGenerator`."""
    return int(np.random.SeedSequence([seed, begin]).generate_state(1, "uint64")[0])

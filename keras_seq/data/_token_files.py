"""Texts larger than memory -> token ids in files, made once and read where they are needed."""

import hashlib
import itertools
import json
import os
import shutil
import tempfile

import numpy as np

from keras_seq.data._progress import progress_bar
from keras_seq.data._ragged import Ragged
from keras_seq.data._read_columns import batches_of
from keras_seq.data._splits import HELD_OUT_FRACTION
from keras_seq.data._texts import encoder
from keras_seq.data.tokenizers import UNKNOWN_ID, load_tokenizer, train_tokenizer

_VERSION = 2  # of the files
_SAMPLE = 2**26  # characters that a tokenizer is trained on
_SPLITS = ("train", "validation", "test")


def tokens_on_disk(source, column, folder, tokenizer, options, errors, train_examples):
    """Token ids of all texts, in files that the pipeline reads.

    Texts are read some at a time, so what is kept in memory is where each document lies. A
    folder that holds the ids of the same source, tokenizer and libraries is read as it is (sources
    that have no name on this machine, such as a `tf.data.Dataset`, are always read again). A
    missing split is held out of train, 2 % by a hash of the text.

    Args:
        source: a `Source`.
        column: name of its column of texts.
        folder: where the files lie; it is made whole beside and renamed.
        tokenizer: a kind, which is trained on the first 64 Mi characters of train, or a tokenizer.
        options: arguments of `train_tokenizer`.
        errors: `"raise"` or `"skip"`.
        train_examples: the first so many training documents only, or `None`.

    Returns:
        `(ids, tokenizer, notes)`: dict from split to `Ragged` on disk, the end id after each
        document; the tokenizer; and a dict with `dropped`, counts by split, `unknown`, the fraction
        of unknown tokens of each, and `sample`, the first training document.

    Raises:
        ValueError: if `folder` is a file, or a folder of something else; or as `read_columns`.
    """
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    made_of = _made_of(source, column, tokenizer, options, errors, train_examples)
    found = _read_notes(folder)
    if found is None or found["made_of"] != made_of or not source.identity:
        _check_free(folder, found)
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        beside = tempfile.mkdtemp(
            prefix=f".{os.path.basename(folder)}-", dir=os.path.dirname(folder)
        )
        try:
            notes = _write(beside, source, column, tokenizer, options, errors, train_examples)
            with open(os.path.join(beside, "notes.json"), "w", encoding="utf-8") as file:
                json.dump({**notes, "made_of": made_of}, file, ensure_ascii=False)
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        found = _read_notes(folder)
    ids = {}
    for split in _SPLITS:
        ends = np.load(os.path.join(folder, f"{split}.ends.npy"))
        count = int(ends[-1]) if len(ends) else 0
        path = os.path.join(folder, f"{split}.tokens")
        values = np.memmap(path, "int32", "r", shape=(count,)) if count else np.zeros(0, "int32")
        ids[split] = Ragged(values, np.concatenate([[0], ends]))
    return ids, load_tokenizer(os.path.join(folder, "tokenizer")), found


def _made_of(source, column, tokenizer, options, errors, train_examples):
    """What the files depend on, as JSON takes it."""
    if not isinstance(tokenizer, str):
        config = json.dumps(tokenizer.get_config(), sort_keys=True, default=str)
        tokenizer = hashlib.blake2b(config.encode(), digest_size=16).hexdigest()
    return {
        "source": source.identity,
        "column": column,
        "tokenizer": tokenizer,
        "options": options,
        "errors": errors,
        "train_examples": train_examples,
        "version": _VERSION,
    }


def _read_notes(folder):
    try:
        with open(os.path.join(folder, "notes.json"), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _check_free(folder, found):
    if os.path.isfile(folder) or (found is None and os.path.isdir(folder) and os.listdir(folder)):
        raise ValueError(
            f"`cache` must be a folder of its own for the token ids. Received: {folder!r}, which "
            "holds something else. Pass the name of a new folder."
        )


def _documents(source, column, split, errors, dropped):
    """Yields lists of texts that are not empty."""
    dropped.setdefault("empty", 0)
    for batch in batches_of(source, split, [column], errors, [column], dropped):
        texts = [text for text in batch[column] if text.strip()]
        dropped["empty"] += len(batch[column]) - len(texts)
        yield texts


def _held_out(text, missing):
    """The split that a training document belongs to."""
    share = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64
    place = int(share / HELD_OUT_FRACTION)
    return missing[place] if place < len(missing) else "train"


def _first(texts, most):
    """The texts until so many characters are over."""
    for text in texts:
        if most <= 0:
            return
        most -= len(text)
        yield text


def _write(folder, source, column, tokenizer, options, errors, train_examples):
    missing = [split for split in _SPLITS if split not in source.splits]

    def read(split, dropped):
        return _documents(source, column, split, errors, dropped)

    def training(dropped):
        """Lists of `(split, texts)` of what train has."""
        left = np.inf if train_examples is None else train_examples
        for texts in read("train", dropped):
            where = [_held_out(text, missing) for text in texts]
            for split in ("train", *missing):
                chosen = [t for t, w in zip(texts, where, strict=True) if w == split]
                if split == "train":
                    chosen = chosen[: int(min(left, len(chosen)))]
                    left -= len(chosen)
                yield split, chosen

    if isinstance(tokenizer, str):
        texts = (t for split, texts in training({}) if split == "train" for t in texts)
        tokenizer = train_tokenizer(_first(texts, _SAMPLE), tokenizer, **options)
    tokenizer.save(os.path.join(folder, "tokenizer"))

    dropped = {split: {} for split in _SPLITS}
    others = ((s, texts) for s in source.splits if s != "train" for texts in read(s, dropped[s]))
    ends = {split: [] for split in _SPLITS}
    unknown = dict.fromkeys(_SPLITS, 0)
    sample = None
    files = {split: open(os.path.join(folder, f"{split}.tokens"), "wb") for split in _SPLITS}
    encoded, count = encoder(tokenizer, end=True), sum(source.sizes.values()) or None
    bar = progress_bar("Tokenizing", count, "texts", delay=2.0, leave=False)
    try:
        for split, texts in itertools.chain(training(dropped["train"]), others):
            sample = texts[0] if texts and sample is None else sample
            for values, lengths in encoded(texts):
                files[split].write(values.tobytes())
                ends[split].append(lengths)
                unknown[split] += int(np.count_nonzero(values == UNKNOWN_ID))
                bar.update(len(lengths))
    finally:
        bar.close()
        for file in files.values():
            file.close()
    for split in _SPLITS:
        if not ends[split]:
            raise ValueError(
                f"The split {split!r} of {source.name!r} has no text that is not empty"
                + (", as what is held out of train is 2 % of its texts" if split in missing else "")
                + ". Give it some."
            )
        ends[split] = np.cumsum(np.concatenate(ends[split]))
        np.save(os.path.join(folder, f"{split}.ends.npy"), ends[split])
        unknown[split] /= int(ends[split][-1])
        dropped[split] = {**dict.fromkeys(dropped["train"], 0), **dropped[split]}
    return {"dropped": dropped, "unknown": unknown, "sample": sample[:1000]}

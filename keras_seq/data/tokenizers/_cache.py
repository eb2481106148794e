"""Trained tokenizers, kept by what they were trained on."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import unicodedata
import warnings

from keras_seq.data.tokenizers._saving import VERSION, load_tokenizer

LIBRARIES = ("keras_seq", "keras-hub", "sentencepiece", "tensorflow", "tensorflow-text")


def check_cache(cache):
    if not isinstance(cache, (bool, str, os.PathLike)):
        raise TypeError(
            "`cache` must be True (Keras' folder), False (none) or a folder. Received: "
            f"{type(cache).__name__}"
        )


def cached(train, texts, kind, cache, **options):
    """What `train()` gives, loaded from the cache if it was trained before."""
    folder = _default_folder() if cache is True else os.path.expanduser(os.fspath(cache))
    entry = os.path.join(folder, f"{kind}-{_key(texts, kind, options)}")
    try:
        return load_tokenizer(entry)
    except ValueError:
        pass  # not there, or damaged
    tokenizer = train()
    try:
        _remove(entry)
        tokenizer.save(entry)
    except (OSError, ValueError) as error:
        if _is_there(entry):  # another process was quicker
            return tokenizer
        warnings.warn(
            f"The trained tokenizer could not be kept in {folder!r} ({error}); it will be trained "
            "again next time. `cache=` takes another folder, or False.",
            stacklevel=4,
        )
    return tokenizer


def _is_there(entry):
    try:
        return load_tokenizer(entry) is not None
    except (OSError, ValueError):
        return False


def _default_folder():
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return os.path.join(home, "keras_seq", "tokenizers")


def _key(texts, kind, options):
    """A digest of all that the tokenizer depends on."""
    versions = {name: _version(name) for name in LIBRARIES}
    versions["unicode"] = unicodedata.unidata_version
    described = {"format": VERSION, "kind": kind, "options": options, "versions": versions}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for text in texts:
        encoded = text.encode("utf-8")
        digest.update(len(encoded).to_bytes(8, "little"))  # ["ab"] is not ["a", "b"]
        digest.update(encoded)
    return digest.hexdigest()[:32]


def _version(library):
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None  # under another name, such as a build of one's own


def _remove(entry):
    if os.path.isdir(entry) and not os.path.islink(entry):
        shutil.rmtree(entry, ignore_errors=True)
    elif os.path.lexists(entry):
        os.remove(entry)

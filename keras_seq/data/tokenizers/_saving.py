"""A tokenizer as a folder: `tokenizer.json` and its vocabulary.

No code and no pickle is in it, and a class is chosen by its kind from a fixed list, so that a
folder from elsewhere can be read safely.
"""

import hashlib
import json
import os
import shutil
import uuid

from keras_seq.data.tokenizers._kinds import KINDS, kind_module

FILE = "tokenizer.json"
FORMAT, VERSION = "keras_seq.tokenizer", 1


class SavedTokenizer:
    """A mixin: the config holds all that makes the tokenizer, and `save` writes it to a folder."""

    settings = ()  # arguments of the constructor
    learned = ()  # more of them, which the files hold
    files = ()  # what `save_assets` writes

    def get_config(self):
        """The arguments of the constructor, the vocabulary included."""
        names = (*self.settings, *self.learned)
        return {"name": self.name, **{name: _argument(self, name) for name in names}}

    def save_assets(self, dir_path):
        if self.files:
            super().save_assets(dir_path)

    def load_assets(self, dir_path):
        if self.files:
            super().load_assets(dir_path)

    def save(self, path):
        """Saves the tokenizer to a folder; `load_tokenizer` reads it.

        The folder is written under another name and then renamed. One that holds a tokenizer is
        replaced. The same tokenizer gives the same bytes; the layer's name is not part of them.

        Args:
            path: The folder. Its parents are made.

        Raises:
            ValueError: If `path` is a file, or a folder with something else in it.
        """
        path = os.path.abspath(os.fspath(path))
        _check_free(path)
        temporary = f"{path}.{uuid.uuid4().hex}.tmp"
        os.makedirs(temporary)
        try:
            self.save_assets(temporary)
            description = {
                "format": FORMAT,
                "version": VERSION,
                "kind": self.kind,
                "settings": {n: _argument(self, n) for n in self.settings if n != "kind"},
                "files": {name: _digest(temporary, name) for name in self.files},
            }
            with open(os.path.join(temporary, FILE), "w", encoding="utf-8", newline="\n") as file:
                json.dump(description, file, indent=2)
                file.write("\n")
            _rename(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def load_tokenizer(path):
    """Loads a tokenizer that `tokenizer.save(path)` wrote.

    It gives the same ids as the saved one. No code comes from the folder.

    Args:
        path: The folder.

    Returns:
        The tokenizer, of the class that `train_tokenizer` gave.

    Raises:
        ValueError: If there is no such folder, it holds no tokenizer, the tokenizer is of a later
            version or of an unknown kind, or its files are incomplete or were changed.

    Example:

    ```python
    from keras_seq.data import load_tokenizer, train_tokenizer

    tokenizer = train_tokenizer(["아침 햇살", "아침 식사"], kind="word")
    tokenizer.save("model/tokenizer")
    again = load_tokenizer("model/tokenizer")
    assert again(["아침 식사"]) == tokenizer(["아침 식사"])
    ```
    """
    path = os.fspath(path)
    description = _read_description(path)
    tokenizer_class = kind_module(description["kind"]).TOKENIZER
    _check_files(path, tokenizer_class.files, description["files"])
    settings = description["settings"]
    if "kind" in tokenizer_class.settings:
        settings = {**settings, "kind": description["kind"]}
    if set(settings) != set(tokenizer_class.settings):
        raise ValueError(
            f"`path` must hold a tokenizer with the settings {sorted(tokenizer_class.settings)}. "
            f"Received: {path!r}, with {sorted(settings)}"
        )
    tokenizer = tokenizer_class(**settings)
    tokenizer.load_assets(path)
    return tokenizer


def _argument(tokenizer, name):
    value = getattr(tokenizer, name)
    return value() if callable(value) else value  # KerasHub: `vocabulary_size()`


def _read_description(path):
    file = os.path.join(path, FILE)
    if not os.path.isfile(file):
        found = (
            "a folder without tokenizer.json"
            if os.path.isdir(path)
            else "a file"
            if os.path.exists(path)
            else "which does not exist"
        )
        raise ValueError(
            f"`path` must be a folder that `tokenizer.save` wrote. Received: {path!r}, {found}"
        )
    try:
        with open(file, encoding="utf-8") as opened:
            description = json.load(opened)
        version, kind = description["version"], description["kind"]
        dict(description["files"]), dict(description["settings"])
        known = description["format"] == FORMAT and isinstance(version, int)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file!r} is damaged, or no tokenizer's. Train the tokenizer again."
        ) from error
    if not known:
        raise ValueError(f"{file!r} is no tokenizer's: its format is {description['format']!r}.")
    if version > VERSION:
        raise ValueError(
            f"{file!r} has version {version}, and this keras_seq reads up to {VERSION}. Update it."
        )
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{file!r} must have one of the kinds {sorted(KINDS)}. Received: {kind!r}")
    return description


def _check_files(path, names, digests):
    for name in names:
        file = os.path.join(path, name)
        if not os.path.isfile(file):
            raise ValueError(f"{path!r} must hold the file {name!r}, which it lacks.")
        if _digest(path, name) != digests.get(name):
            raise ValueError(
                f"{file!r} is not as it was saved: its checksum differs. Train the tokenizer again."
            )


def _digest(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _check_free(path):
    if os.path.isdir(path):
        others = sorted(set(os.listdir(path)) - _files_of(path))
        if not others:
            return
        found = f"a folder with something else in it: {others[0]!r}"
    elif os.path.lexists(path):
        found = "a file"
    else:
        return
    raise ValueError(
        f"`path` must be a new folder, or one that holds a tokenizer. Received: {path!r}, {found}"
    )


def _files_of(path):
    """Names of the files of the tokenizer in a folder, if there is one."""
    try:
        return {FILE, *_read_description(path)["files"]}
    except ValueError:
        return set()


def _rename(temporary, path):
    """Renames a folder, in place of the one that is there."""
    if not os.path.isdir(path):
        os.rename(temporary, path)
        return
    before = f"{temporary}.before"
    os.rename(path, before)
    try:
        os.rename(temporary, path)
    except OSError:
        os.rename(before, path)
        raise
    shutil.rmtree(before, ignore_errors=True)

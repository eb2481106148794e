"""One file of a model, its tokenizers and all settings: a zip without code in it.

keras_seq.json      format, version, what it is, its config, its tokenizers
model.keras         as `model.save` writes it, without the optimizer
tokenizers/NAME/    as `tokenizer.save` writes it
"""

import json
import pathlib
import struct
import tempfile
import zipfile
import zlib

import keras

from keras_seq.saving import _tokenizers
from keras_seq.saving._atomic_write import atomic_write, checked_path
from keras_seq.stepping._keras_private import functional_of

DESCRIPTION, MODEL = "keras_seq.json", "model.keras"
FORMAT, VERSION = "keras_seq.archive", 1
# What `zipfile` raises for files that are damaged in one place or another.
_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError, TypeError),
    *(ValueError, NotImplementedError, RuntimeError, OSError),
)


def save_archive(path, kind, config, model, tokenizers):
    """Write an archive; it appears whole, or not at all.

    Args:
        path: of the file. An archive that is there is replaced.
        kind: name of the class whose `load` reads it.
        config: what `json` can hold.
        model: `keras.Model`.
        tokenizers: dict from argument to tokenizer.

    Raises:
        TypeError: if a tokenizer or a layer cannot be saved; nothing has been written then.
        OSError: if nothing can be written to `path`, or something else is there.
    """
    descriptions = _tokenizers.described(tokenizers)
    _check_loads_in_safe_mode(model)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "config": config,
        "tokenizers": descriptions,
    }
    text = json.dumps(description, indent=1)
    with atomic_write(path, _is_archive) as new, tempfile.TemporaryDirectory(dir=new.parent) as own:
        folder = pathlib.Path(own)
        (folder / DESCRIPTION).write_text(text, encoding="utf-8")
        _without_optimizer(model).save(folder / MODEL)
        _tokenizers.write(tokenizers, descriptions, folder)
        with zipfile.ZipFile(new, "w") as archive:
            for file in sorted(p for p in folder.rglob("*") if p.is_file()):
                archive.write(file, file.relative_to(folder).as_posix())


def load_archive(path, kind):
    """`(config, model, tokenizers)` of an archive, see `save_archive`. No code in it is run.

    Raises:
        ValueError: if there is no such file, it is no archive of this kind, or damaged.
    """
    path = checked_path(path)
    if not path.is_file():
        raise ValueError(f"`path` must be a file that `{kind}.save` wrote. Received: {str(path)!r}")
    with tempfile.TemporaryDirectory() as own:
        folder = pathlib.Path(own)
        description = _extract(path, kind, folder)
        tokenizers = _tokenizers.read(description["tokenizers"], folder)
        model = keras.saving.load_model(folder / MODEL, compile=False, safe_mode=True)
    return description["config"], model, tokenizers


def _extract(path, kind, folder):
    """The description of an archive, whose files are put into `folder`."""
    try:
        with zipfile.ZipFile(path) as archive:
            foreign = DESCRIPTION not in archive.namelist()
            description = None if foreign else json.loads(archive.read(DESCRIPTION))
            if description is not None and description["format"] == FORMAT:
                names = [MODEL, *(n for n in archive.namelist() if n.startswith("tokenizers/"))]
                archive.extractall(folder, names)  # compares checksums, and leaves `..` out
                found, version = description["kind"], int(description["version"])
                dict(description["config"]), dict(description["tokenizers"])
    except _DAMAGES as error:
        raise ValueError(
            f"{str(path)!r} is damaged, or no file that `{kind}.save` wrote: {error}"
        ) from error
    if description is None or description["format"] != FORMAT:
        raise ValueError(
            f"`path` must be a file that `{kind}.save` wrote. Received: {str(path)!r}, another zip "
            "file (a model alone is loaded by keras.saving.load_model)"
        )
    if version > VERSION:
        raise ValueError(
            f"{str(path)!r} has version {version}, and this keras_seq reads up to {VERSION}. "
            "Update it."
        )
    if found != kind:
        raise ValueError(f"{str(path)!r} holds a {found}: load it with `{found}.load`, not {kind}.")
    return description


def _is_archive(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(DESCRIPTION))["format"] == FORMAT
    except _DAMAGES:
        return False


def _without_optimizer(model):
    """The same layers in a model that was not compiled: slots of Adam would triple the file."""
    functional = functional_of(model)
    if functional is None or not model.compiled:
        return model
    return keras.Model(functional.input, functional.output, name=model.name)


def _check_loads_in_safe_mode(model):
    """Raise TypeError for a Python function in a model: Keras' safe mode does not load it."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Lambda):
            raise TypeError(
                f"`model` cannot be saved: `{layer.name}` is a Lambda layer, Python code that "
                "Keras' safe mode does not load. Use keras.ops on the tensors, or a layer of your "
                "own that is registered with Keras."
            )

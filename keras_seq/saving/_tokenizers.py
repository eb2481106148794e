"""Tokenizers in an archive: those of `keras_seq.data` as folders, others as registered objects."""

import sys

from keras_seq.saving._objects import deserialized, serialized


def described(tokenizers):
    """What the archive says of tokenizers, by name: one that stands twice is kept once.

    Raises:
        TypeError: naming a tokenizer that cannot be saved.
    """
    descriptions = {}
    for name, tokenizer in tokenizers.items():
        same = next((n for n in descriptions if tokenizers[n] is tokenizer), None)
        if same is not None:
            descriptions[name] = {"same_as": same}
        elif _is_ours(tokenizer):
            descriptions[name] = {"folder": f"tokenizers/{name}"}
        elif hasattr(tokenizer, "save_assets"):  # its vocabulary is not in its config
            raise TypeError(
                f"`{name}` cannot be saved: {type(tokenizer).__name__} has its vocabulary in files "
                "of its own. Use a tokenizer of keras_seq.data.train_tokenizer, or a class whose "
                "`get_config` gives the vocabulary, registered with Keras."
            )
        else:
            descriptions[name] = {"object": serialized(tokenizer, name)}
    return descriptions


def write(tokenizers, descriptions, folder):
    """Write into `folder` those that are folders."""
    for name, description in descriptions.items():
        if "folder" in description:
            tokenizers[name].save(folder / description["folder"])


def read(descriptions, folder):
    """Tokenizers by name.

    Raises:
        ImportError: if they need TensorFlow and it is not there.
        ValueError: if one is damaged or not registered.
    """
    tokenizers = {}
    for name, description in descriptions.items():
        if "same_as" in description:
            tokenizers[name] = tokenizers[description["same_as"]]
        elif "folder" in description:
            from keras_seq.data import load_tokenizer

            tokenizers[name] = load_tokenizer(folder / f"tokenizers/{name}")
        else:
            tokenizers[name] = deserialized(description["object"], name)
    return tokenizers


def _is_ours(tokenizer):
    """Whether `keras_seq.data.load_tokenizer` reads what its `save` writes."""
    module = sys.modules.get("keras_seq.data.tokenizers._saving")  # without importing TensorFlow
    return module is not None and isinstance(tokenizer, module.SavedTokenizer)

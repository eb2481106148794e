"""A tokenizer as files that `keras_seq.runtime` reads."""

import json
import pathlib
import sys
import tempfile


def tokenizer_files(name, tokenizer):
    """Dict from file name, in the folder `name`, to bytes.

    Raises:
        TypeError: if it is none of `keras_seq.data.train_tokenizer`.
    """
    module = sys.modules.get("keras_seq.data.tokenizers._saving")
    if module is None or not isinstance(tokenizer, module.SavedTokenizer):
        raise TypeError(
            f"`{name}` must be a tokenizer of keras_seq.data.train_tokenizer, which "
            "keras_seq.runtime can read without TensorFlow. Received: "
            f"{type(tokenizer).__name__}. Export the TextGenerator's `generator`, from ids to ids."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        tokenizer.save(path)
        files = {f"{name}/{file.name}": file.read_bytes() for file in path.iterdir()}
    if tokenizer.kind == "character":  # so simple that it needs no SentencePiece
        description = json.loads(files.pop(f"{name}/tokenizer.json"))
        description["settings"]["lowercase"] = _lowers(tokenizer)
        description["files"] = ["vocabulary.json"]
        vocabulary = json.dumps(tokenizer.get_vocabulary(), ensure_ascii=False, indent=0)
        files = {
            f"{name}/tokenizer.json": json.dumps(description).encode(),
            f"{name}/vocabulary.json": vocabulary.encode(),
        }
    return files


def _lowers(tokenizer):
    """Whether SentencePiece's table turns upper case into lower case."""
    for i, piece in enumerate(tokenizer.get_vocabulary()):
        upper = piece.upper()
        if len(piece) == 1 == len(upper) and upper != piece and upper.lower() == piece:
            return list(map(int, tokenizer([upper])[0]))[:1] == [i]
    return False

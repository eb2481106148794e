"""`python -m keras_seq.export FILE`: what is in a LiteRT file or SavedModel, ours or not."""

import argparse
import sys

import keras

from keras_seq.export._describe import describe
from keras_seq.export._verify import verify
from keras_seq.export.report import ExportError

_DESCRIPTION = """Print format, size, operators, signatures, latency (one thread, random inputs) and
memory of a LiteRT file or SavedModel. With --model, compare its outputs with the model's own call.
The exit code is 1 if the file cannot be read, is damaged, or does not agree with the model."""


def main(arguments=None):
    """The exit code, after printing the report or one line with what is wrong."""
    parser = argparse.ArgumentParser("python -m keras_seq.export", description=_DESCRIPTION)
    parser.add_argument("file", metavar="FILE", help="a .tflite file or the folder of a SavedModel")
    parser.add_argument("--model", metavar="MODEL.keras", help="the model that was exported")
    options = parser.parse_args(arguments)
    try:
        if options.model is None:
            print(describe(options.file))
        else:
            print(verify(options.file, _loaded(options.model)))
    except (ExportError, OSError, TypeError, ValueError) as error:
        print(_one_line(error), file=sys.stderr)
        return 1
    return 0


def _loaded(path):
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # of anybody's layers
        raise ValueError(f"The model {path!r} cannot be loaded: {_one_line(error)}") from error


def _one_line(error):
    """An error's first line and its last, the reason that a process gave."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(dict.fromkeys([*lines[:1], *lines[-1:]])) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())

"""docs/exports.md: which model exports to what.

`python -m tests.export.matrix.page` exports every instance to every target and writes the page of
what happened, if that is what `refusals.py` says.
"""

import pathlib
import re
import sys
import tempfile

import keras

from tests.export.matrix.instances import INSTANCES, instance
from tests.export.matrix.outcomes import TARGETS, unexpected
from tests.export.matrix.refusals import REFUSALS, refusal

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "exports.md"
CELLS = [(key, target) for key in INSTANCES for target in TARGETS]

_HEAD = """# What exports to what

{text}

| | call |
|---|---|
| SavedModel | `to_saved_model(model, path)` |
| LiteRT | `to_litert(model, path)` |
| float16, dynamic int8 | `to_litert(model, path, quantize=...)`: `"float16"`, `"dynamic_int8"` |
| streaming | `to_litert(model, path, streaming=True)` |
| ONNX | `to_onnx(model, path)` |
| CTranslate2 | `to_ctranslate2(generator, path)` |
"""
_TEXT = (
    "A small instance of every layer of `keras_seq.layers` and of every function of "
    "`keras_seq.models` goes to every target. *yes*: the file is written, run in a process of its "
    "own, and agrees with the model's own call, with the defaults of the export. A number: the "
    "export is refused, for the reason below, and nothing is written. This page is made by "
    "`python -m tests.export.matrix.page`, which makes all these exports; `pytest "
    "tests/export/test_every_model.py --thorough` makes them, too, and fails where one is not as "
    'it is said here. Activations of 8 bits (`quantize="int8"`) are as good as the data that they '
    "are measured on, and not in the table: see runtime.md."
)
_SECTIONS = {
    "model": ("Models", "Functional models, called on whole sequences (streaming: on chunks)."),
    "generator": ("Generators", "The same models in a greedy `keras_seq.generation.Generator`."),
    "layer": ("Layers", "Each layer alone in a functional model, a cell in `RNN`."),
}


def render():
    """The page of `REFUSALS`."""
    columns = [target.removeprefix("LiteRT ") for target in TARGETS]
    lines = [_HEAD.format(text=_TEXT)]
    for kind, (title, text) in _SECTIONS.items():
        lines += [f"## {title}\n", f"{text}\n", f"| | {' | '.join(columns)} |"]
        lines += ["|---" * (len(columns) + 1) + "|"]
        for key in INSTANCES:
            if key.startswith(f"{kind} "):
                cells = " | ".join(_cell(key, target) for target in TARGETS)
                lines += [f"| {_name(key.removeprefix(f'{kind} '))} | {cells} |"]
        lines += [""]
    lines += ["## Reasons\n"]
    lines += [f"{i}. {one.reason}" for i, one in enumerate(REFUSALS, 1)]
    return "\n".join(lines) + "\n"


def _cell(key, target):
    found = refusal(key, target)
    return "yes" if found is None else f"({REFUSALS.index(found) + 1})"


def _name(label):
    """The code of a label as code: all but what follows a comma or " (" after the name."""
    code = re.match(r"\w+(\(.*\))?", label)[0]
    return f"`{code}`{label[len(code) :]}"


def main():
    from keras_seq.export import _process
    from tests.export.forked_scripts import ForkingServer

    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        _process.subprocess = server = ForkingServer(pathlib.Path(folder))
        for i, (key, target) in enumerate(CELLS):
            keras.backend.clear_session(free_memory=False)
            path = pathlib.Path(folder) / str(i)
            problem = unexpected(instance(key), key, target, path)
            print(f"{i + 1} of {len(CELLS)}: {key}, {target}: {problem or 'as expected'}")
            wrong += [problem] if problem else []
        server.close()
    if not wrong:
        PAGE.write_text(render(), encoding="utf-8")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())

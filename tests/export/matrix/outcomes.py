"""What happens to an instance at a target: exported, run and compared; or refused, and why."""

import re

from keras_seq import export
from keras_seq.export import ExportError
from keras_seq.generation import Generator
from tests.export.matrix.instances import PROMPT, TIME
from tests.export.matrix.refusals import refusal

LITERT = {
    "LiteRT": {},
    "LiteRT float16": {"quantize": "float16"},
    "LiteRT dynamic int8": {"quantize": "dynamic_int8"},
    "LiteRT streaming": {"streaming": True},
}
TARGETS = ("SavedModel", *LITERT, "ONNX", "CTranslate2")


def exported(made, target, path):
    """The report of an export of a model or generator, with what the target asks for."""
    generates = isinstance(made, Generator)
    context = made.stepper.context_inputs if generates else {}
    if target == "ONNX":
        return export.to_onnx(made, path)
    if target == "CTranslate2":
        return export.to_ctranslate2(made, path)
    options = {"prompt_length": PROMPT} if generates and not context else {}
    if target == "SavedModel":
        return export.to_saved_model(made, path, **options)
    if target == "LiteRT streaming" and not generates:
        options["max_length"] = TIME
    return export.to_litert(made, path, **LITERT[target], **options)


def outcome(made, target, path):
    """`(report, error)`, one of them `None`. Other errors than those of an export go on."""
    try:
        return exported(made, target, path), None
    except (TypeError, ValueError, ExportError) as error:
        return None, error


def unexpected(made, key, target, path):
    """What is not as `REFUSALS` says, in words, or `None`."""
    expected = refusal(key, target)
    report, error = outcome(made, target, path)
    if report is not None:
        return None if expected is None and report.agrees else f"{report}"
    if expected is None or not re.search(expected.error, str(error)):
        return f"{type(error).__name__}: {error}"
    lines = str(error).splitlines()
    return None if len(lines) <= 3 else f"{len(lines)} lines of error: {error}"

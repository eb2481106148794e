"""Every public name has a docstring with an example, and every example runs."""

import importlib
import inspect
import os
import pathlib
import pkgutil
import re
import textwrap

import keras
import pytest

import keras_seq

ROOT = pathlib.Path(keras_seq.__file__).parent.parent
PACKAGES = ("layers", "models", "generation", "export", "data", "plots", "testing", "training")
NEED_TENSORFLOW = ("data", "export", "training.chunks")
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def public_objects():
    """(name, object) of what each package re-exports, of those that can be imported."""
    for package in PACKAGES:
        try:
            module = importlib.import_module(f"keras_seq.{package}")
        except ImportError:
            continue  # data, without TensorFlow
        for name in module.__all__:
            yield f"{package}.{name}", getattr(module, name)


OBJECTS = dict(public_objects())
DOCUMENTED = {n: o for n, o in OBJECTS.items() if inspect.isclass(o) or inspect.isfunction(o)}
EXAMPLES = {
    name: textwrap.dedent(code)
    for name, o in DOCUMENTED.items()
    for code in FENCE.findall(inspect.getdoc(o) or "")
}
# Errors and reports are made by other functions, whose examples show them.
WITHOUT_EXAMPLE = {
    "export.ExportError",
    "export.ExportReport",
    "export.ModelReport",
    "generation.Generated",
    "data.TranslationData",
    "testing.InvariantViolated",
    "testing.ConformanceReport",
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_public_name_says_what_it_is(name):
    documentation = inspect.getdoc(DOCUMENTED[name])
    assert documentation, f"keras_seq.{name} has no docstring"
    assert name in EXAMPLES or name in WITHOUT_EXAMPLE, f"keras_seq.{name} has no example"


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_in_the_docstring_runs(name, tmp_path, monkeypatch):
    code = EXAMPLES[name]
    needs = name.startswith(NEED_TENSORFLOW) or "keras_seq.data" in code
    if needs and keras.backend.backend() != "tensorflow":
        pytest.skip("needs TensorFlow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", os.fspath(tmp_path))
    exec(compile(code, f"<example of {name}>", "exec"), {"__name__": "example"})


@pytest.mark.needs_tensorflow(reason="the README's example exports")
def test_the_examples_in_the_readme_run(tmp_path, monkeypatch):
    code, contract = FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "<README>", "exec"), {})
    exec(compile(contract, "<README>", "exec"), {})
    assert (tmp_path / "saved_models" / "model.tflite").exists()


def test_every_layer_is_registered_for_saving():
    for name, o in OBJECTS.items():
        if (
            not name.startswith("layers.")
            or not inspect.isclass(o)
            or o.__name__ in ("SequenceLayer", "GatedCell")  # to be subclassed
        ):
            continue
        assert keras.saving.get_registered_name(o) == f"keras_seq>{o.__name__}"


def test_every_module_says_what_it_is_for():
    for module in pkgutil.walk_packages([os.fspath(ROOT / "keras_seq")], "keras_seq."):
        path = ROOT / (module.name.replace(".", "/") + ("/__init__.py" if module.ispkg else ".py"))
        if path.exists():
            assert '"""' in path.read_text(encoding="utf-8")[:400], f"{module.name} says nothing"

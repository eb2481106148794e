"""Every public name has a docstring with an example; every example and every page's code runs."""

import ast
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
PACKAGES = (
    "classification",
    "layers",
    "models",
    "stepping",
    "inspection",
    "generation",
    "export",
    "data",
    "plots",
    "testing",
    "training",
)
NEED_TENSORFLOW = ("data", "export", "training.chunks", "training.resume")
# Packages of extras that may be missing, by what stands in code that needs them.
OPTIONAL = {"ctranslate2": "ctranslate2", "onnx": "onnxruntime"}
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
    "generation.BeamSelection",
    "generation.Generated",
    "data.ClassificationData",
    "data.LanguageModelData",
    "data.TaggingData",
    "data.TranslationData",
    "testing.InvariantViolated",
    "testing.ConformanceReport",
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_public_name_says_what_it_is(name):
    documentation = inspect.getdoc(DOCUMENTED[name])
    assert documentation, f"keras_seq.{name} has no docstring"
    assert name in EXAMPLES or name in WITHOUT_EXAMPLE, f"keras_seq.{name} has no example"


def skip_without_packages(code):
    for word, package in OPTIONAL.items():
        if word in code:
            pytest.importorskip(package, reason=f"needs {package}, which is not installed")


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_in_the_docstring_runs(name, tmp_path, monkeypatch):
    code = EXAMPLES[name]
    needs = name.startswith(NEED_TENSORFLOW) or "keras_seq.data" in code
    if needs and keras.backend.backend() != "tensorflow":
        pytest.skip("needs TensorFlow")
    skip_without_packages(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", os.fspath(tmp_path))
    exec(compile(code, f"<example of {name}>", "exec"), {"__name__": "example"})


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = {
    f"{page.relative_to(ROOT).as_posix()} {i + 1}": code
    for page in PAGES
    for i, code in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
}


# A page on one protocol is read from its top, so its blocks go on from those above.
GUIDES = sorted((ROOT / "docs" / "extending").glob("*.md"))
# tests/data/test_data_page.py runs the page about data, tests/test_tutorial.py the tutorial.
ELSEWHERE = ("docs/extending/", "docs/data.md", "docs/tutorial/")
ON_THEIR_OWN = [n for n in BLOCKS if not n.startswith(ELSEWHERE)]


@pytest.mark.parametrize("name", ON_THEIR_OWN)
@pytest.mark.needs_tensorflow(reason="pages show data and export, too")
def test_each_block_of_a_page_runs_on_its_own(name, tmp_path, monkeypatch):
    skip_without_packages(BLOCKS[name])
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[name], f"<{name}>", "exec"), {"__name__": "example"})
    if name == "README.md 1":
        assert (tmp_path / "saved_models" / "model.tflite").exists()


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
@pytest.mark.needs_tensorflow(reason="pages show data and export, too")
def test_the_blocks_of_a_guide_run_from_its_top(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "example"}
    for i, code in enumerate(FENCE.findall(page.read_text(encoding="utf-8"))):
        exec(compile(code, f"<{page.name} {i + 1}>", "exec"), namespace)


def test_the_first_example_of_the_readme_has_ten_lines():
    lines = [line for line in BLOCKS["README.md 1"].splitlines() if line.strip()]
    assert len(lines) <= 10


def private_names(code):
    """Internal names of keras_seq, and private Keras, that a piece of code uses."""
    for node in ast.walk(ast.parse(code)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        for name in names:
            root, _, rest = name.partition(".")
            private = root == "keras_seq" and re.search(r"(^|\.)_[a-z]", rest)
            if private or (root == "keras" and rest.startswith("src")):
                yield name


SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py")}


@pytest.mark.parametrize("name", [*BLOCKS, *EXAMPLES, *SCRIPTS])
def test_what_is_shown_uses_public_names_only(name):
    assert not list(private_names({**BLOCKS, **EXAMPLES, **SCRIPTS}[name]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings_that_exist(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if heading:
            text = target.read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings]
            assert heading in anchors, link


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

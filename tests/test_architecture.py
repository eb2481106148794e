"""The structure that docs/architecture.md describes, read from the source."""

import ast
import pathlib

import pytest

from tests.conftest import _COSTLY_ON_JAX

PACKAGE = pathlib.Path(__file__).parents[1] / "keras_seq"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE)
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

# What the code of each package may import of the others, at the top of a module or in a function.
MAY_IMPORT = {
    "layers": set(),
    "stepping": {"layers"},
    "inspection": {"layers", "stepping"},
    "saving": {"layers", "stepping", "data"},
    "generation": {"layers", "stepping", "inspection", "saving"},
    "runtime": set(),
    "export": {
        "layers",
        "stepping",
        "inspection",
        "generation",
        "classification",
        "saving",
        "runtime",
    },
    "classification": {"layers", "stepping", "generation", "saving"},
    "models": {"layers"},
    "training": {"layers", "stepping"},
    "plots": {"layers"},
    "data": {"training"},
    "testing": set(),
}
PRIVATE_KERAS = {
    "_functional",
    "_inputs_struct",
    "_keras_history",
    "_keras_mask",
    "_maybe_symbolic_build",
    "_nodes_by_depth",
    "_outputs_struct",
    "_run_through_graph",
    "_symbolic_build",
}
MAY_USE_PRIVATE_KERAS = {
    "layers/_keras_private.py",
    "stepping/_keras_private.py",
    "training/_keras_private.py",
}


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def imported_modules(path):
    """Full names of the modules that a module imports; relative imports are made absolute."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ["keras_seq", *path.relative_to(PACKAGE).parent.parts]
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            # `from keras_seq import data` imports `keras_seq.data`.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def dotted(node):
    """`a.b.c` of nested attributes, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_every_package_has_a_place_in_the_order():
    assert {path.relative_to(PACKAGE).parts[0] for path in MODULES} == set(MAY_IMPORT)


def test_the_order_has_no_cycle():
    placed = set()
    while len(placed) < len(MAY_IMPORT):
        free = {name for name, below in MAY_IMPORT.items() if below <= placed} - placed
        assert free
        placed |= free


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package):
    wrong = []
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0] != package:
            continue
        for module in imported_modules(path):
            root, _, rest = module.partition(".")
            if root == "keras_seq" and rest.split(".")[0] not in {package, *MAY_IMPORT[package]}:
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong


def uses_of_private_keras(path):
    for name in imported_modules(path):
        if name.startswith("keras.src"):
            yield name
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Attribute):
            if node.attr in PRIVATE_KERAS or dotted(node) == "keras.src":
                yield dotted(node)
        elif isinstance(node, ast.Constant) and node.value in PRIVATE_KERAS:  # of `getattr`
            yield node.value


def test_private_keras_is_used_in_one_module_of_a_package():
    used = {name_of(path): sorted(uses_of_private_keras(path)) for path in MODULES}
    used = {name: uses for name, uses in used.items() if uses}
    assert {n: uses for n, uses in used.items() if n not in MAY_USE_PRIVATE_KERAS} == {}
    assert set(used) == MAY_USE_PRIVATE_KERAS


def test_a_module_that_defines_its_own_name_begins_with_an_underscore():
    # Else the function, once it is re-exported, stands where the module is imported from.
    shadowed = [
        name_of(path)
        for path in MODULES
        for node in TREES[path].body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == path.stem
    ]
    assert shadowed == []


def test_every_test_that_is_left_out_on_jax_exists():
    folder = PACKAGE.parent / "tests"
    defined = {
        node.name
        for path in folder.rglob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    assert defined >= _COSTLY_ON_JAX

"""What `import keras_seq` brings, and what it does not."""

import configparser
import json
import os
import pathlib
import subprocess
import sys

import keras_seq


def imported_by(statement):
    """Names of the modules that are loaded after `statement`, in a fresh process."""
    program = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_brings_nothing_heavy_beyond_keras():
    more = imported_by("import keras, keras_seq") - imported_by("import keras")
    packages = {name.partition(".")[0] for name in more}
    standard = set(sys.stdlib_module_names) | {"__mp_main__"}
    assert packages - standard <= {"keras_seq", "keras", "tensorflow"}
    assert not {n for n in more if n.startswith("keras_seq.data")}


def test_parts_are_imported_when_first_asked_for():
    assert keras_seq.plots.attention_map and keras_seq.testing.check_sequence_layer
    assert {"layers", "models", "data", "export"} <= set(dir(keras_seq))
    assert not hasattr(keras_seq, "nothing")


def test_the_scripts_of_the_exports_are_part_of_the_package():
    root = pathlib.Path(keras_seq.__file__).parents[1]
    settings = configparser.ConfigParser()
    settings.read(root / "setup.cfg")
    patterns = settings["options.package_data"]
    for script in (root / "keras_seq/export/workers").glob("*.py"):
        assert script.match(patterns["keras_seq.export"]), f"{script.name} would not be installed"


def test_the_version_is_the_change_log_s():
    root = os.path.dirname(os.path.dirname(keras_seq.__file__))
    with open(os.path.join(root, "CHANGELOG.md"), encoding="utf-8") as file:
        assert f"## {keras_seq.__version__}" in file.read()

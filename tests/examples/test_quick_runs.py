import importlib
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
EXAMPLES = sorted(
    path for path in (HERE.parents[1] / "examples").glob("*.py") if path.stem != "experiment"
)


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_every_example_is_run_as_a_user_starts_it(name):
    assert f'run_quick("{name}"' in "".join(
        path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py")
    )


# These make up what they need, and `forecast` asks for its file.
WITHOUT_DATA = ("forecast", "gradient_flow", "normalization", "vaswani_2017")


@pytest.mark.parametrize("name", [e.stem for e in EXAMPLES if e.stem not in WITHOUT_DATA])
def test_an_example_without_options_reads_a_dataset(name, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(EXAMPLES[0].parent))
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--output", str(tmp_path / "out")])
    for module in ("experiment", name):
        monkeypatch.delitem(sys.modules, module, raising=False)
    experiment, example = map(importlib.import_module, ("experiment", name))
    parse, parsed = experiment.parse, []

    def parse_and_stop(*arguments, **defaults):
        parsed.append(parse(*arguments, **defaults))
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "parse", parse_and_stop)
    with pytest.raises(KeyboardInterrupt):
        example.main()
    assert parsed[0].dataset is not None and not parsed[0].quick


@pytest.mark.parametrize("name", [e.stem for e in EXAMPLES if "tfds." in e.read_text("utf-8")])
def test_a_dataset_that_an_example_opens_itself_is_known(name, tmp_path):
    code = f"""
import sys

import tensorflow_datasets as tfds

find = tfds.builder


def find_and_stop(*arguments, **options):
    find(*arguments, **options)
    raise SystemExit(3)


tfds.builder = find_and_stop
sys.argv = ["{name}.py", "--data-dir", "data", "--output", "out"]
import {name}

{name}.main()
"""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES[0].parent), *sys.path]),
    }
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
    assert run.returncode == 3

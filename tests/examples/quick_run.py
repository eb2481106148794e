"""Runs an example as a user starts it: a process of its own, from the root of the repository."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def run_quick(name, *arguments, folder):
    """What `python examples/<name>.py --quick ...` prints; it must exit with 0.

    `folder` stands for the home of TFDS, which a quick run does not need and so must leave empty.
    """
    datasets = folder / "datasets"
    datasets.mkdir()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    of_tests = {"XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR"}  # see tests/conftest.py
    environment = {name: value for name, value in os.environ.items() if name not in of_tests}
    done = subprocess.run(
        [sys.executable, f"examples/{name}.py", "--quick", *map(str, arguments)],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": path, "TFDS_DATA_DIR": str(datasets)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert not any(datasets.iterdir())
    return done.stdout

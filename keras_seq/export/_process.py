"""Run a script in a process of its own, so that a crash becomes an error with a reason."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
from typing import NamedTuple

import numpy as np

from keras_seq.export.report import ExportError

_LONGEST_LINE = 300
WORKERS = pathlib.Path(__file__).parent / "workers"


class ArtifactRun(NamedTuple):
    """What running an artifact gave.

    Attributes:
        outputs: list of dicts from output name to array, one for each call.
        facts: dict with what a report is to say of the artifact: `ops`, `signatures`, `latency` and
            `xla_latency` (see `ExportReport`), each optional.

    Example:

    ```python
    import numpy as np
    import keras_seq

    run = keras_seq.export.ArtifactRun([{"y": np.zeros(3)}], {"latency": 0.1})
    print(run.outputs[0]["y"], run.facts)
    ```
    """

    outputs: list
    facts: dict


class ScriptError(ExportError):
    """A script failed: its first line says how, the second is what the script said of it.

    Args:
        text: the first line.
        output: all that the script printed to stderr.
    """

    def __init__(self, text, output):
        self.output = output
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Exit)\b", line)]
        telling = [line for line in lines if "rror" in line and "cuda" not in line.lower()]
        said = [line for found in (raised, telling, lines) for line in found[-1:]][:1]
        super().__init__("\n".join([text, *(line[:_LONGEST_LINE] for line in said)]))


def run_script(script, *arguments, what, timeout=900):
    """Run a Python script in a process of its own, without a GPU.

    Args:
        script: path of the script.
        *arguments: its command line.
        what: what it does, for the error: "convert to LiteRT".
        timeout: in seconds.

    Raises:
        ExportError: if it fails, crashes or takes too long, with the error that it printed.

    Example:

    ```python
    import pathlib

    import keras_seq

    pathlib.Path("hello.py").write_text("import sys; open(sys.argv[1], 'w').write('hello')")
    keras_seq.export.run_script("hello.py", "hello.txt", what="write a greeting")
    assert pathlib.Path("hello.txt").read_text() == "hello"
    ```
    """
    command = [sys.executable, os.fspath(script), *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise ExportError(f"Could not {what}: no end after {timeout} seconds.") from None
    if done.returncode == 0:
        return
    if done.returncode < 0:
        reason = f"the process crashed with {signal.Signals(-done.returncode).name}"
    else:
        reason = f"the process ended with exit code {done.returncode}"
    raise ScriptError(f"Could not {what}: {reason}.", done.stderr)


def run_artifact(script, path, calls, what="run the artifact", timeout=900):
    """Run a script that calls an artifact, in a process of its own.

    The script is run as `python SCRIPT PATH INPUTS.npz OUTPUTS.npz`. The inputs are arrays named
    `CALL:NAME`, the calls numbered from 0; the script writes its outputs in the same way, and may
    add `report`, the facts of `ArtifactRun` in JSON.

    Args:
        script: path of the script.
        path: of the artifact.
        calls: list of dicts from input name to array.
        what: what it does, for the error.
        timeout: in seconds.

    Returns:
        `ArtifactRun`.

    Raises:
        ExportError: as `run_script`, or if the script gives no outputs for a call.

    Example:

    ```python
    import pathlib

    import numpy as np
    import keras_seq

    code = '''
    import sys, numpy as np
    path, inputs, outputs = sys.argv[1:]
    weight = np.load(path)
    results = {key.split(":")[0] + ":y": x * weight for key, x in np.load(inputs).items()}
    np.savez(outputs, **results)
    '''
    pathlib.Path("run_weight.py").write_text("\\n".join(map(str.strip, code.splitlines())))
    np.save("weight.npy", 3.0)
    run = keras_seq.export.run_artifact("run_weight.py", "weight.npy", [{"x": np.ones(2)}])
    np.testing.assert_array_equal(run.outputs[0]["y"], [3, 3])
    ```
    """
    arrays = {f"{i}:{name}": value for i, call in enumerate(calls) for name, value in call.items()}
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = pathlib.Path(folder) / "inputs.npz", pathlib.Path(folder) / "outputs.npz"
        np.savez(inputs, **arrays)
        run_script(script, path, inputs, outputs, what=what, timeout=timeout)
        if not outputs.exists():
            raise ExportError(f"Could not {what}: {os.fspath(script)!r} wrote no outputs.")
        with np.load(outputs) as file:
            got = dict(file)
    facts = json.loads(str(got.pop("report", "{}")))
    results = [{} for _ in calls]
    for key, value in got.items():
        number, _, name = key.partition(":")
        if not number.isdecimal() or int(number) >= len(results):
            raise ExportError(
                f"Could not {what}: outputs must be named CALL:NAME, with one of {len(calls)} "
                f"calls. Received: {key!r}"
            )
        results[int(number)][name] = value
    missing = [i for i, result in enumerate(results) if not result]
    if missing:
        raise ExportError(f"Could not {what}: there are no outputs of the calls {missing}.")
    return ArtifactRun(results, facts)

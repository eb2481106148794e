"""Run a worker script in a process of its own, so that a crash becomes an error with a reason."""

import os
import pathlib
import signal
import subprocess
import sys

from keras_seq.export.report import ExportError

WORKERS = pathlib.Path(__file__).parent / "workers"


def run_worker(name, *arguments, what, timeout=900):
    """Run `workers/NAME.py`.

    Args:
        name: of the script.
        *arguments: its command line.
        what: what it does, for the error: "convert to LiteRT".
        timeout: in seconds.

    Raises:
        ExportError: if it fails, crashes or takes too long, with the end of what it printed.
    """
    command = [sys.executable, str(WORKERS / f"{name}.py"), *map(str, arguments)]
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
    lines = [line[:500] for line in done.stderr.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line and "cuda" not in line.lower()]
    raise ExportError(f"Could not {what}: {reason}.\n" + "\n".join((telling or lines)[-12:]))

"""Scripts that need TensorFlow are forked from one process that has imported it, once a run."""

import json
import pathlib
import subprocess
import sys
import types

# Other scripts are started as for users.
_FORKED = ("convert_litert.py", "run_saved_model.py", "describe_saved_model.py")


class ForkingServer:
    """In place of `subprocess` for `keras_seq.export`: importing TensorFlow takes seconds."""

    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self, folder):
        self.errors, self.server = folder / "errors.txt", None

    def run(self, command, **options):
        script = pathlib.Path(command[1])
        if script.name not in _FORKED:
            return subprocess.run(command, **options)
        if self.server is None:
            server = pathlib.Path(__file__).with_name("forking_server.py")
            self.server = subprocess.Popen(
                [sys.executable, server],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=options["env"],
            )
        self.server.stdin.write(json.dumps([*command[1:], str(self.errors)]) + "\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        return types.SimpleNamespace(returncode=code, stderr=self.errors.read_text())

    def close(self):
        if self.server is not None:
            self.server.kill()
            self.server.communicate()

"""Runs scripts in processes forked from this one, which has imported TensorFlow.

Each line of standard input is a JSON list: a script, its arguments, and a file for what it prints.
The answer is a line with its exit code, or minus the signal that ended it.
"""

import json
import os
import runpy
import sys
import traceback

import tensorflow  # noqa: F401
import tensorflow_text  # noqa: F401


def run(script, *arguments):
    *arguments, output = arguments
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = [script, *arguments]
    sys.path[0] = os.path.dirname(script)
    try:
        runpy.run_path(script, run_name="__main__")
        code = 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


for line in sys.stdin:
    child = os.fork()
    if not child:
        run(*json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

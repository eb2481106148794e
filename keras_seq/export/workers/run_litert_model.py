"""Call a signature of a LiteRT file with LiteRT and NumPy alone, and time it.

Usage: run_litert_model.py LITERT_FILE SIGNATURE INPUTS.npz OUTPUTS.npz REPEATS

The inputs are arrays named CALL:NAME, the calls numbered in their order from 0. An input that a
call lacks, such as a state, is the output of that name of the call before.
"""

import collections
import json
import pathlib
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from litert_file import count_ops, spec

path, signature, inputs_path, outputs_path, repeats = sys.argv[1:]
runner = Interpreter(model_path=path, num_threads=1).get_signature_runner(signature)

needed = runner.get_input_details()
line = f"{spec(needed)} -> {spec(runner.get_output_details())}"
report = {"ops": count_ops(pathlib.Path(path).read_bytes()), "signatures": {signature: line}}
calls = collections.defaultdict(dict)
for key, value in np.load(inputs_path).items():
    number, name = key.split(":", 1)
    calls[int(number)][name] = value
last, results = {}, {}
for number in sorted(calls):
    given = {**{name: last[name] for name in needed if name in last}, **calls[number]}
    last = runner(**given)
    results.update({f"{number}:{name}": np.copy(value) for name, value in last.items()})
runner(**calls[0])
times = []
for _ in range(int(repeats)):
    began = time.perf_counter()
    runner(**calls[0])
    times.append(time.perf_counter() - began)
report["latency"] = 1e3 * float(np.median(times))
np.savez(outputs_path, report=json.dumps(report), **results)

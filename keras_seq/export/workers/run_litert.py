"""Call the one signature of a LiteRT file with LiteRT and NumPy alone, and time it.

Usage: run_litert.py LITERT_FILE INPUTS.npz OUTPUTS.npz

The inputs are arrays named CALL:NAME, the calls numbered from 0; without any the file is described
and not run. An input that a call lacks, such as a state, is the output of that name of the call
before.
"""

import collections
import itertools
import json
import pathlib
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from litert_file import anonymous_memory, read_file, shapes, spec

REPEATS = 20

path, inputs_path, outputs_path = sys.argv[1:]
calls = collections.defaultdict(dict)
for key, value in np.load(inputs_path).items():
    number, name = key.split(":", 1)
    calls[int(number)][name] = value
before = anonymous_memory()
interpreter = Interpreter(model_path=path, num_threads=1)
signature, *others = interpreter.get_signature_list() or [None]
if signature is None or others:
    raise ValueError(f"the file has the signatures {[signature, *others]}; keras_seq writes one")
runner = interpreter.get_signature_runner(signature)
needed = runner.get_input_details()

complete = [call for _, call in sorted(calls.items()) if set(needed) <= set(call)]
memory = {}
if complete and before is not None:  # before outputs are kept
    runner(**max(complete, key=lambda call: sum(value.nbytes for value in call.values())))
    memory["memory"] = anonymous_memory() - before
ops, quantization = read_file(pathlib.Path(path).read_bytes())
report = {
    "ops": ops,
    "signatures": {signature: f"{spec(needed)} -> {spec(runner.get_output_details())}"},
    "signature": signature,
    "inputs": shapes(needed),
    "quantize": quantization,
    **memory,
}
last, results = {}, {}
for number in sorted(calls):
    given = {**{name: last[name] for name in needed if name in last}, **calls[number]}
    last = runner(**given)
    results.update({f"{number}:{name}": np.copy(value) for name, value in last.items()})
times = []
for call in itertools.islice(itertools.cycle(complete), REPEATS):
    if len(complete) < REPEATS:  # another shape than the last call's is allocated first
        runner(**call)
    began = time.perf_counter()
    runner(**call)
    times.append(time.perf_counter() - began)
if times:
    report["latency"] = 1e3 * float(np.median(times))
np.savez(outputs_path, report=json.dumps(report), **results)

"""Run a LiteRT file on inputs with LiteRT and NumPy alone, and time it.

Usage: run_litert.py LITERT_FILE INPUTS.npz OUTPUTS.npz REPEATS
"""

import json
import pathlib
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from litert_file import count_ops, spec

path, inputs_path, outputs_path, repeats = sys.argv[1:]
interpreter = Interpreter(model_path=path, num_threads=1)
runner = interpreter.get_signature_runner("generate")

report = {
    "ops": count_ops(pathlib.Path(path).read_bytes()),
    "signatures": {
        "generate": f"{spec(runner.get_input_details())} -> {spec(runner.get_output_details())}"
    },
}
rows = dict(np.load(inputs_path))
size = next(iter(runner.get_input_details().values()))["shape"][0]
count = len(next(iter(rows.values())))
outputs, times = [], []
for start in range(0, count, size):
    batch = {name: value[start : start + size] for name, value in rows.items()}
    missing = size - len(next(iter(batch.values())))
    batch = {n: np.concatenate([v, np.repeat(v[-1:], missing, axis=0)]) for n, v in batch.items()}
    outputs.append(runner(**batch))
for i in range(min(int(repeats), count // size)):
    batch = {name: value[i * size : (i + 1) * size] for name, value in rows.items()}
    began = time.perf_counter()
    runner(**batch)
    times.append(time.perf_counter() - began)
report["latency"] = 1e3 * float(np.median(times)) if times else float("nan")
arrays = {name: np.concatenate([o[name] for o in outputs])[:count] for name in outputs[0]}
np.savez(outputs_path, report=json.dumps(report), **arrays)

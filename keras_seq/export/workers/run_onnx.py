"""Call an ONNX file with ONNX Runtime and NumPy alone, on one thread, and time it.

Usage: run_onnx.py ONNX_FILE INPUTS.npz OUTPUTS.npz

The inputs are arrays named CALL:NAME, the calls numbered from 0; without any the file is described
and not run.
"""

import collections
import json
import sys
import time

import numpy as np
import onnx
import onnxruntime
from numbered_calls import read_calls

REPEATS = 20

path, inputs_path, outputs_path = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def spec(tensors):
    """Names, types and shapes, in one line."""
    parts = sorted((t.name, t.type.removeprefix("tensor(").rstrip(")"), t.shape) for t in tensors)
    return ", ".join(f"{name} {kind}{shape}" for name, kind, shape in parts)


line = f"{spec(session.get_inputs())} -> {spec(session.get_outputs())}"
ops = collections.Counter(node.op_type for node in onnx.load(path).graph.node)
report = {"ops": ops, "signatures": {"run": line}}
names = [output.name for output in session.get_outputs()]
calls = read_calls(inputs_path)
results, times = {}, []
for number, call in calls.items():
    outputs = session.run(names, call)
    results |= {f"{number}:{name}": y for name, y in zip(names, outputs, strict=True)}
if calls:
    rows = {number: len(next(iter(call.values()))) for number, call in calls.items()}
    smallest = calls[min(rows, key=rows.get)]
    for _ in range(REPEATS):
        began = time.perf_counter()
        session.run(names, smallest)
        times.append(time.perf_counter() - began)
    report["latency"] = 1e3 * float(np.median(times))
np.savez(outputs_path, report=json.dumps(report), **results)

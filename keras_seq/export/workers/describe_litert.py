"""Say what is in any LiteRT file, and time its signatures on random inputs with one thread.

Usage: describe_litert.py LITERT_FILE REPORT.json
"""

import json
import pathlib
import sys

from ai_edge_litert.interpreter import Interpreter
from litert_file import anonymous_memory, read_file, spec
from random_calls import random_array, timed

path, report_path = sys.argv[1:]
before = anonymous_memory()
interpreter = Interpreter(model_path=path, num_threads=1)
names = list(interpreter.get_signature_list()) or [None]


def by_name(details):
    return {detail["name"]: detail for detail in details}


def signature(name):
    """`(inputs, outputs, call)` of a signature, or of a file that has none (`None`)."""
    if name is not None:
        runner = interpreter.get_signature_runner(name)
        return runner.get_input_details(), runner.get_output_details(), lambda x: runner(**x)
    inputs = by_name(interpreter.get_input_details())

    def call(arrays):
        for each, value in arrays.items():
            interpreter.resize_tensor_input(inputs[each]["index"], value.shape)
        interpreter.allocate_tensors()
        for each, value in arrays.items():
            interpreter.set_tensor(inputs[each]["index"], value)
        interpreter.invoke()

    return inputs, by_name(interpreter.get_output_details()), call


lines, latencies = {}, {}
for name in names:
    inputs, outputs, call = signature(name)
    label = name or "(none)"
    lines[label] = f"{spec(inputs)} -> {spec(outputs)}"
    arrays = {n: random_array(d["shape_signature"], d["dtype"]) for n, d in inputs.items()}
    latencies[label] = timed(call, arrays)
memory = {} if before is None else {"memory": anonymous_memory() - before}
ops, _ = read_file(pathlib.Path(path).read_bytes())
report = {
    "ops": ops,
    "custom_ops": sorted(op for op in ops if not op.isupper()),  # custom ones are in CamelCase
    "signatures": lines,
    "latencies": latencies,
    **memory,
}
pathlib.Path(report_path).write_text(json.dumps(report), encoding="utf-8")

"""Call the signatures of a LiteRT file with LiteRT and NumPy alone, and time them.

Usage: run_litert.py LITERT_FILE INPUTS.npz OUTPUTS.npz

The inputs are arrays named CALL:NAME, the calls numbered from 0; without any the file is described
and not run. An input that a call lacks, such as a state, is the output of that name of the call
before. Inputs named CALL:prefill/NAME are those of `prefill`, after which `step` is called until
all rows have finished: the outputs of such a call are `tokens` (B, n) and `scores`.
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
from numbered_calls import read_calls

REPEATS = 20

path, inputs_path, outputs_path = sys.argv[1:]
calls = read_calls(inputs_path)
before = anonymous_memory()
interpreter = Interpreter(model_path=path, num_threads=1)
signatures = list(interpreter.get_signature_list())
signature = "generate" if "generate" in signatures else next(iter(signatures), None)
if {*signatures} not in ({signature}, {"generate", "prefill", "step"}) or signature is None:
    raise ValueError(f"the file has the signatures {signatures}; keras_seq writes others")
runners = {name: interpreter.get_signature_runner(name) for name in signatures}
runner = runners[signature]
needed = runner.get_input_details()

complete = [call for call in calls.values() if set(needed) <= set(call)]
memory = {}
if complete and before is not None:  # before outputs are kept
    runner(**max(complete, key=lambda call: sum(value.nbytes for value in call.values())))
    memory["memory"] = anonymous_memory() - before
ops, quantization = read_file(pathlib.Path(path).read_bytes())
report = {
    "ops": ops,
    "signatures": {
        name: f"{spec(r.get_input_details())} -> {spec(r.get_output_details())}"
        for name, r in runners.items()
    },
    "signature": signature,
    "inputs": shapes(needed),
    "quantize": quantization,
    **memory,
}
last, results, milliseconds = {}, {}, collections.defaultdict(list)


def timed(name, arrays):
    """Copies of the outputs, for the next call changes them."""
    began = time.perf_counter()
    outputs = runners[name](**arrays)
    milliseconds[name].append(1e3 * (time.perf_counter() - began))
    return {name: np.copy(value) for name, value in outputs.items()}


def streamed(arrays):
    """Tokens (B, n) and scores (B,) of `prefill` and as many steps as it takes."""
    outputs, state, tokens = timed("prefill", arrays), {}, []
    while True:
        tokens.append(outputs["token"])
        state.update({name: x for name, x in outputs.items() if name.startswith("state_")})
        if outputs["finished"].all():
            return {"tokens": np.stack(tokens, axis=1), "scores": outputs["scores"]}
        outputs = timed("step", state)


for number, call in calls.items():
    if next(iter(call)).startswith("prefill/"):
        last = streamed({name.split("/", 1)[1]: value for name, value in call.items()})
    else:
        last = runner(**{**{name: last[name] for name in needed if name in last}, **call})
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
report["latencies"] = {name: float(np.median(values)) for name, values in milliseconds.items()}
np.savez(outputs_path, report=json.dumps(report), **results)

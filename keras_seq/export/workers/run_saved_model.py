"""Call the one signature of a SavedModel with TensorFlow, without keras_seq, and time it.

Usage: run_saved_model.py SAVED_MODEL_DIR INPUTS.npz OUTPUTS.npz

The inputs are arrays named CALL:NAME, the calls numbered from 0; without any the signature is
described and not run. Strings are a JSON list of them, in the inputs and in the outputs.
"""

import collections
import itertools
import json
import sys
import time

# TensorFlow and Keras import both where they are installed, which takes a third of the time.
sys.modules.update(dict.fromkeys(("jax", "matplotlib")))

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

REPEATS = 20

path, inputs_path, outputs_path = sys.argv[1:]
calls = collections.defaultdict(dict)
for key, value in np.load(inputs_path).items():
    number, name = key.split(":", 1)
    strings = value.dtype.kind == "U"
    if strings:  # TensorFlow Serving has the tokenizers' operators built in
        import tensorflow_text  # noqa: F401
    calls[int(number)][name] = tf.constant(json.loads(str(value)) if strings else value)
loaded = tf.saved_model.load(path)
serve = loaded.signatures["serving_default"]
_, inputs = serve.structured_input_signature


def spec(specs):
    """What a signature takes or gives: name, dtype and shape of each."""
    return ", ".join(f"{n} {s.dtype.name}{s.shape.as_list()}" for n, s in sorted(specs.items()))


def array(tensor):
    """What NumPy's files hold: strings as JSON, 16-bit floats that NumPy lacks as float32."""
    if tensor.dtype == tf.string:
        return np.array(json.dumps([text.decode("utf-8") for text in tensor.numpy().tolist()]))
    return (tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor).numpy()


definition = serve.graph.as_graph_def()
nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
report = {
    "ops": dict(collections.Counter(node.op for node in nodes)),
    "signatures": {"serving_default": f"{spec(inputs)} -> {spec(serve.structured_outputs)}"},
    "inputs": {name: s.shape.as_list() for name, s in inputs.items()},
}
results = {
    f"{number}:{name}": array(value)
    for number, call in sorted(calls.items())
    for name, value in serve(**call).items()
}
rows = {number: len(next(iter(call.values()))) for number, call in calls.items()}
smallest = [calls[number] for number in sorted(calls) if rows[number] == min(rows.values())]
times = []
for call in itertools.islice(itertools.cycle(smallest), REPEATS):
    began = time.perf_counter()
    for value in serve(**call).values():
        value.numpy()
    times.append(time.perf_counter() - began)
if times:
    report["latency"] = 1e3 * float(np.median(times))
assert "keras_seq" not in sys.modules, "the SavedModel must run without keras_seq"
np.savez(outputs_path, report=json.dumps(report), **results)

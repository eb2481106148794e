"""Call the signatures of a SavedModel with TensorFlow, without keras_seq, and time them.

Usage: run_saved_model.py SAVED_MODEL_DIR INPUTS.npz OUTPUTS.npz

The inputs are arrays named CALL:NAME, the calls numbered from 0; without any the signatures are
described and not run. Strings are a JSON list of them, in the inputs and in the outputs. Outputs
of the signature that XLA compiles, where there is one, are named CALL:serving_xla/NAME.
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
from numbered_calls import read_calls  # noqa: E402

REPEATS = 20
DEFAULT, XLA = "serving_default", "serving_xla"

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

path, inputs_path, outputs_path = sys.argv[1:]
calls = read_calls(inputs_path)
for call in calls.values():
    for name, value in call.items():
        strings = value.dtype.kind == "U"
        if strings:  # TensorFlow Serving has the tokenizers' operators built in
            import tensorflow_text  # noqa: F401
        call[name] = tf.constant(json.loads(str(value)) if strings else value)
loaded = tf.saved_model.load(path)
signatures = {name: loaded.signatures[name] for name in (DEFAULT, XLA) if name in loaded.signatures}


def spec(specs):
    """What a signature takes or gives: name, dtype and shape of each."""
    return ", ".join(f"{n} {s.dtype.name}{s.shape.as_list()}" for n, s in sorted(specs.items()))


def array(tensor):
    """What NumPy's files hold: strings as JSON, 16-bit floats that NumPy lacks as float32."""
    if tensor.dtype == tf.string:
        return np.array(json.dumps(decoded(tensor.numpy().tolist())))
    return (tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor).numpy()


def decoded(strings):
    """A nested list of strings."""
    return strings.decode("utf-8") if isinstance(strings, bytes) else list(map(decoded, strings))


def line(serve):
    """What a signature takes and gives."""
    return f"{spec(serve.structured_input_signature[1])} -> {spec(serve.structured_outputs)}"


def latency(serve, calls):
    """Median milliseconds."""
    times = []
    for call in itertools.islice(itertools.cycle(calls), REPEATS):
        began = time.perf_counter()
        for value in serve(**call).values():
            value.numpy()
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))


serve = signatures[DEFAULT]
definition = serve.graph.as_graph_def()
nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
report = {
    "ops": dict(collections.Counter(node.op for node in nodes)),
    "signatures": {name: line(serve) for name, serve in signatures.items()},
    "inputs": {n: s.shape.as_list() for n, s in serve.structured_input_signature[1].items()},
}
rows = {number: len(next(iter(call.values()))) for number, call in calls.items()}
smallest = [call for number, call in calls.items() if rows[number] == min(rows.values())]
results = {}
for signature, serve in signatures.items():
    prefix = "" if signature == DEFAULT else f"{signature}/"
    for number, call in calls.items():
        for name, value in serve(**call).items():
            results[f"{number}:{prefix}{name}"] = array(value)
    if calls:
        report["latency" if signature == DEFAULT else "xla_latency"] = latency(serve, smallest)
assert "keras_seq" not in sys.modules, "the SavedModel must run without keras_seq"
np.savez(outputs_path, report=json.dumps(report), **results)

"""Run a SavedModel on strings, without keras_seq, and time it.

Usage: run_saved_model.py SAVED_MODEL_DIR INPUTS.npz OUTPUTS.npz

The one input, 0:texts, is a JSON list of strings; the output 0:text is one, too.
"""

import collections
import json
import sys
import time

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  the tokenizers' operators; TensorFlow Serving has them built in

REPEATS = 20

path, inputs_path, outputs_path = sys.argv[1:]
loaded = tf.saved_model.load(path)
generate = loaded.signatures["serving_default"]
texts = json.loads(str(np.load(inputs_path)["0:texts"]))


def spec(specs):
    return ", ".join(f"{n} {s.dtype.name}{s.shape.as_list()}" for n, s in sorted(specs.items()))


definition = generate.graph.as_graph_def()
nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
report = {
    "ops": dict(collections.Counter(node.op for node in nodes)),
    "signatures": {
        "serving_default": f"{spec(generate.structured_input_signature[1])} -> "
        f"{spec(generate.structured_outputs)}"
    },
}
results = collections.defaultdict(list)
for start in range(0, len(texts), 64):
    for name, value in generate(texts=tf.constant(texts[start : start + 64])).items():
        results[name].append(value.numpy())
times = []
for text in texts[:REPEATS]:
    began = time.perf_counter()
    generate(texts=tf.constant([text]))["text"].numpy()
    times.append(time.perf_counter() - began)
report["latency"] = 1e3 * float(np.median(times))
assert "keras_seq" not in sys.modules, "the SavedModel must run without keras_seq"
arrays = {f"0:{name}": np.concatenate(part) for name, part in results.items() if name != "text"}
arrays["0:text"] = json.dumps([t.decode("utf-8") for part in results["text"] for t in part])
np.savez(outputs_path, report=json.dumps(report), **arrays)

"""Say what is in any SavedModel, and time its signatures on random inputs with one thread.

Usage: describe_saved_model.py SAVED_MODEL_DIR REPORT.json
"""

import collections
import json
import pathlib
import sys

# TensorFlow and Keras import both where they are installed, which takes a third of the time.
sys.modules.update(dict.fromkeys(("jax", "matplotlib")))

import tensorflow as tf  # noqa: E402
from random_calls import random_array, timed  # noqa: E402
from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402
from tensorflow.python.framework import op_def_registry  # noqa: E402

path, report_path = sys.argv[1:]
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

saved = saved_model_pb2.SavedModel.FromString((pathlib.Path(path) / "saved_model.pb").read_bytes())
ops = collections.Counter()
for graph in (meta.graph_def for meta in saved.meta_graphs):
    functions = {function.signature.name for function in graph.library.function}
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    ops.update(node.op for node in nodes if node.op not in functions)
custom = sorted(op for op in ops if op_def_registry.get(op) is None)
if custom:  # TensorFlow Serving has those of TensorFlow Text built in
    import tensorflow_text  # noqa: F401


def spec(specs):
    return ", ".join(f"{n} {s.dtype.name}{s.shape.as_list()}" for n, s in sorted(specs.items()))


def caller(serve):
    def call(arrays):
        for value in serve(**{name: tf.constant(array) for name, array in arrays.items()}).values():
            value.numpy()

    return call


lines, latencies = {}, {}
for name, serve in tf.saved_model.load(path).signatures.items():
    inputs = serve.structured_input_signature[1]
    lines[name] = f"{spec(inputs)} -> {spec(serve.structured_outputs)}"
    arrays = {n: random_array(s.shape.as_list(), s.dtype.as_numpy_dtype) for n, s in inputs.items()}
    latencies[name] = timed(caller(serve), arrays)
report = {"ops": ops, "custom_ops": custom, "signatures": lines, "latencies": latencies}
pathlib.Path(report_path).write_text(json.dumps(report), encoding="utf-8")

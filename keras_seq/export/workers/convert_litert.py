"""Convert signatures of a SavedModel to a LiteRT file; a crash of the converter stays here.

Usage: convert_litert.py SAVED_MODEL_DIR LITERT_FILE SIGNATURE,... float32|float16|dynamic_int8
       convert_litert.py SAVED_MODEL_DIR LITERT_FILE SIGNATURE int8 REPRESENTATIVE_CALLS.npz

The calls are arrays named CALL:NAME.
"""

import sys

# TensorFlow imports both where they are installed, which takes a third of the time.
sys.modules.update(dict.fromkeys(("jax", "keras")))

import tensorflow as tf  # noqa: E402
from ai_edge_litert import schema_py_generated as schema  # noqa: E402
from int8_tables import share_tables  # noqa: E402
from numbered_calls import read_calls  # noqa: E402
from small_file import packed  # noqa: E402

source, destination, signatures, quantization, *data = sys.argv[1:]
signature_keys = signatures.split(",")
converter = tf.lite.TFLiteConverter.from_saved_model(source, signature_keys=signature_keys)
# Built-in operators only: a file that needs TensorFlow's own cannot run where LiteRT runs.
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
if quantization != "float32":
    converter.optimizations = [tf.lite.Optimize.DEFAULT]  # weights alone: no data is given
if quantization == "float16":
    converter.target_spec.supported_types = [tf.float16]


if data:
    calls = [(signatures, call) for call in read_calls(data[0]).values()]
    converter.representative_dataset = lambda: iter(calls)
content = converter.convert()
if quantization in ("dynamic_int8", "int8"):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    if quantization == "dynamic_int8":
        share_tables(model)
    content = packed(model)
with open(destination, "wb") as file:
    file.write(content)

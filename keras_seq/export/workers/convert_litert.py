"""Convert a SavedModel to a LiteRT file, in a process of its own: a converter crash stays here.

Usage: convert_litert.py SAVED_MODEL_DIR LITERT_FILE
"""

import sys

import tensorflow as tf

source, destination = sys.argv[1:]
converter = tf.lite.TFLiteConverter.from_saved_model(source, signature_keys=["generate"])
# Built-in operators only: a file that needs TensorFlow's own cannot run where LiteRT runs.
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
with open(destination, "wb") as file:
    file.write(converter.convert())

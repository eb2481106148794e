"""LSTM and GRU in LiteRT files: the fused operator, the loop, and several steps an iteration; and
in ONNX files, as ONNX's operators.

    python benchmarks/litert_recurrent.py

One layer, as many features as units, 100 time steps, batch 1, one thread, float32 and int8 weights.
All forms of a layer alternate in one run; medians count. Each file has been compared with the
Keras layer's own call before it is timed (`keras_seq.export.to_litert`). "chosen" is the form
that is taken when none is asked for. "ONNX" is left out where ONNX Runtime is not installed.
"""

import importlib.util
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

import keras_seq
from keras_seq.export.targets._lstm_fusion import best_steps

TIME, ROUNDS = 100, 100
FORMS = ("fused", "loop", 2, 4, 8, 16, TIME)


def main():
    heads = "".join(f"{_title(form):>10}" for form in FORMS)
    heads += f"{'ONNX':>10}{'chosen':>18}"
    print(f"{'ms, median of ' + str(ROUNDS):<16}{heads}   KB: fused, loop, chosen, all")
    for units in (64, 256):
        for kind in ("LSTM", "GRU"):
            with tempfile.TemporaryDirectory() as folder:
                for weights, times, sizes, chosen in measure(kind, units, pathlib.Path(folder)):
                    cells = [f"{times[f]:.3f}" if f in times else "-" for f in (*FORMS, "ONNX")]
                    shown = [sizes.get(form) for form in ("fused", "loop", chosen, TIME)]
                    shown = ", ".join(f"{size / 1e3:.0f}" if size else "-" for size in shown)
                    line = "".join(f"{cell:>10}" for cell in cells)
                    line += f"{times[chosen]:>8.3f} {_title(chosen):<9}"
                    print(f"{kind + f' {units} {weights}':<16}{line}   {shown}", flush=True)


def measure(kind, units, folder):
    """For float32 and int8 `(weights, ms by form, bytes by form, the form that is chosen)`."""
    x = keras.Input((TIME, units), name="x")
    layer = getattr(keras_seq.layers, kind)(units, return_sequences=True)
    model = keras.Model(x, layer(x))
    inputs = np.random.default_rng(0).normal(size=(1, TIME, units)).astype("float32")
    for weights, quantize in (("float32", None), ("int8", "dynamic_int8")):
        runs, sizes = {}, {}
        steps = best_steps(layer.cell, 1 if quantize else 4)
        chosen = "loop" if steps == 1 else steps
        for form in dict.fromkeys((*FORMS, chosen)):
            if form == "fused" and kind != "LSTM":
                continue
            path = folder / f"{weights}_{form}.tflite"
            report = keras_seq.export.to_litert(
                model, path, inputs=inputs, quantize=quantize, recurrence=form
            )
            sizes[form] = report.size
            interpreter = Interpreter(model_path=str(path), num_threads=1)
            runs[form] = interpreter.get_signature_runner("serve")
            runs[form](x=inputs)
        if importlib.util.find_spec("onnxruntime"):
            runs["ONNX"] = onnx_run(model, folder / f"{weights}.onnx", inputs, quantize and "int8")
        times = {form: [] for form in runs}
        for _ in range(ROUNDS):
            for form, run in runs.items():
                run(x=inputs)  # what the other forms left in the cache is not counted
                began = time.perf_counter()
                run(x=inputs)
                times[form].append(time.perf_counter() - began)
        yield weights, {f: 1e3 * np.median(t) for f, t in times.items()}, sizes, chosen


def onnx_run(model, path, inputs, quantize):
    """A function that runs the model's ONNX file on one thread."""
    import onnxruntime

    keras_seq.export.to_onnx(model, path, inputs=inputs, quantization=quantize)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    return lambda x: session.run(None, {"x": x})


def _title(form):
    return form if isinstance(form, str) else "all" if form == TIME else f"{form} steps"


if __name__ == "__main__":
    main()

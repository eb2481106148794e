"""Compare what an artifact gave with what the Keras model gives."""

import json
import time

import numpy as np
from keras import ops

from keras_seq.export._compare_tokens import compare_tokens
from keras_seq.export._files import size_of
from keras_seq.export.report import ExportReport


def compared_report(format, path, outputs, generator, inputs, prompt, atol):
    """Compare what a worker wrote with the Keras model.

    Args:
        format: "SavedModel" or "LiteRT".
        path: of the artifact.
        outputs: arrays of the worker: `tokens`, `scores`, `report` (operators, signatures, latency
            as JSON).
        generator: the `Generator` that was exported.
        inputs, prompt: what both were given, see `model_outputs`.
        atol: largest difference of scores (tolerance).

    Returns:
        `ExportReport`.

    Raises:
        ExportError: if the artifact does not agree with the model.
    """
    return ExportReport(
        format=format,
        path=str(path),
        size=size_of(path),
        model_latency=generate_latency(generator, inputs, prompt),
        **json.loads(str(outputs["report"])),
        **compare_tokens(
            f"The {format} artifact",
            generator,
            inputs,
            prompt,
            outputs["tokens"],
            outputs["scores"],
            atol,
        ),
    )


def generate_latency(generator, inputs, prompt, repeats=20):
    """Median milliseconds of the generator's own `generate` for one row.

    Args:
        generator: a `Generator`.
        inputs: dict of context arrays, N rows each.
        prompt: (N, P) ids or `None`.
        repeats: how many rows to time.
    """
    count = len(prompt) if prompt is not None else len(next(iter(inputs.values())))

    def generate(row):
        out = generator.generate(
            {name: value[row : row + 1] for name, value in inputs.items()} or None,
            None if prompt is None else prompt[row : row + 1],
        )
        ops.convert_to_numpy(out.tokens)

    generate(0)  # compiles
    times = []
    for row in range(min(repeats, count)):
        began = time.perf_counter()
        generate(row)
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))

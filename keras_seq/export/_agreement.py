"""Compare what an artifact gave with what the Keras model gives."""

import json
import time

import numpy as np
from keras import ops

from keras_seq.export._files import size_of
from keras_seq.export.report import ExportError, ExportReport


def compared_report(format, path, outputs, generator, inputs, prompt, atol):
    """Compare what a worker wrote with the Keras model.

    Args:
        format: "SavedModel" or "LiteRT".
        path: of the artifact.
        outputs: arrays of the worker: `tokens`, `scores`, `report` (operators, signatures, latency
            as JSON).
        generator: the `Generator` that was exported.
        inputs, prompt: what both were given, see `model_outputs`.
        atol: largest difference of scores that is let pass.

    Returns:
        `ExportReport`.

    Raises:
        ExportError: if the artifact does not agree with the model.
    """
    tokens, scores, model_latency = model_outputs(generator, inputs, prompt)
    return ExportReport(
        format=format,
        path=str(path),
        size=size_of(path),
        model_latency=model_latency,
        **json.loads(str(outputs["report"])),
        **compare(
            f"The {format} artifact",
            (tokens, scores),
            (outputs["tokens"], outputs["scores"]),
            generator.pad_token,
            atol,
        ),
    )


def model_outputs(generator, inputs, prompt, repeats=20, batch_size=64):
    """Tokens and scores of the Keras model, and its latency for one input.

    Args:
        generator: a `Generator`.
        inputs: dict of context arrays, N rows each.
        prompt: (N, P) ids or `None`.
        repeats: how many single inputs to time.
        batch_size: rows a call.

    Returns:
        `(tokens, scores, latency)`: (N, length) int32, (N,) float32, milliseconds.
    """
    count = len(prompt) if prompt is not None else len(next(iter(inputs.values())))

    def generate(start, size):
        """`size` rows from `start` on; rows past the end repeat the last one."""
        rows = np.minimum(np.arange(start, start + size), count - 1)
        out = generator.generate(
            {name: value[rows] for name, value in inputs.items()} or None,
            None if prompt is None else prompt[rows],
        )
        return ops.convert_to_numpy(out.tokens), ops.convert_to_numpy(out.scores)

    size = min(batch_size, count)
    parts = [generate(start, size) for start in range(0, count, size)]
    tokens, scores = (np.concatenate(part)[:count] for part in zip(*parts, strict=True))
    generate(0, 1)
    times = []
    for row in range(min(repeats, count)):
        began = time.perf_counter()
        generate(row, 1)
        times.append(time.perf_counter() - began)
    return tokens, scores, 1e3 * float(np.median(times))


def compare(what, expected, got, pad_token, atol):
    """Count equal tokens and find the largest difference of scores.

    Args:
        what: the artifact's name, for the error.
        expected, got: `(tokens, scores)` of the model and of the artifact.
        pad_token: fills the shorter of two token arrays.
        atol: largest difference of scores that is let pass.

    Returns:
        Dict of `inputs`, `tokens`, `tokens_equal` and `largest_difference`.

    Raises:
        ExportError: unless all tokens are equal and the scores are within `atol`.
    """
    width = max(expected[0].shape[1], got[0].shape[1])
    a, b = (
        np.pad(t, ((0, 0), (0, width - t.shape[1])), constant_values=pad_token)
        for t in (expected[0], got[0])
    )
    counted = (a != pad_token) | (b != pad_token)
    equal = (a == b) & counted
    difference = float(np.max(np.abs(expected[1] - got[1]), initial=0.0))
    if not np.isfinite(got[1]).all():
        difference = float("inf")
    result = {
        "inputs": len(a),
        "tokens": int(counted.sum()),
        "tokens_equal": int(equal.sum()),
        "largest_difference": difference,
    }
    if not result["tokens"]:
        raise ExportError(f"{what} could not be compared: neither it nor the model gave tokens.")
    if result["tokens_equal"] != result["tokens"]:
        row = int(np.argmax((a != b).any(axis=1)))
        raise ExportError(
            f"{what} does not agree with the Keras model: {result['tokens_equal']} of "
            f"{result['tokens']} tokens are equal on {len(a)} inputs. First in row {row}: the "
            f"model gives {a[row].tolist()}, the file {b[row].tolist()}."
        )
    if not difference <= atol:
        raise ExportError(
            f"{what} does not agree with the Keras model: the scores differ by {difference:.3g} "
            f"(atol={atol:g}), though the tokens are equal."
        )
    return result

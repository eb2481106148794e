"""`verify`: run an artifact that exists already and compare it with its model again."""

from keras_seq.export._target import find_target, recognized_target, run_and_compare
from keras_seq.export.report import ExportError
from keras_seq.saving._atomic_write import checked_path


def verify(
    path, model, inputs=None, *, prompt=None, max_length=None, atol=None, target=None, metric=None
):
    """Run an exported file or folder in a process of its own and compare it with its model.

    First its bytes are compared with the checksum that the export wrote into it, so that a bit that
    has flipped since is found also where the tolerance would hide it; then, as in the export, its
    outputs with the model's own call on whole sequences.

    Args:
        path: of an artifact of `to_litert`, `to_saved_model` or another registered target.
        model: the `Generator`, `keras.Model`, `TextGenerator`, `TextClassifier` or `TextTagger`
            that was exported.
        inputs: what to compare on: arrays, by name or one alone, of shapes that a LiteRT file
            takes; a list of strings for what takes strings. If `None` random ones, with edges, see
            the export.
        prompt: (N, P) prompts, of a generator that takes them.
        max_length: that of the export, for a LiteRT file with `streaming=True`.
        atol: tolerance, see the export; the export's own if `None`.
        target: name of the registered target; found from the artifact if `None`.
        metric: function of outputs on all of `inputs`, which gives a number: of a dict from output
            name to array (a `TextClassifier`'s `probabilities` and `classes`; of a `TextTagger`
            lists of them, an array a text; a `TextGenerator`'s list `text`). It is computed for the
            model and the artifact: what int8 weights cost.

    Returns:
        `ExportReport`.

    Raises:
        TypeError, ValueError: if the artifact is none of such a model, or inputs do not fit it.
        ExportError: if there is no artifact, it is damaged, cannot be run, or does not agree with
            the model.

    Example:

    ```python
    import numpy as np
    import keras_seq

    model = keras_seq.models.seq2seq_rnn(30, 20, embedding_dim=8, units=16)
    generator = keras_seq.generation.Generator(model, max_length=6, start_token=2, end_token=3)
    keras_seq.export.to_litert(generator, "model.tflite", source_length=8)
    ids = np.array([[4, 5, 6, 7, 3, 0, 0, 0]])
    assert keras_seq.export.verify("model.tflite", generator, ids).agrees
    ```
    """
    if metric is not None and (inputs is None or not callable(metric)):
        raise ValueError(
            "`metric` of verify must be a function, and `inputs` the arrays or texts to compute it "
            f"on. Received: metric={metric!r}, inputs={'None' if inputs is None else 'given'}"
        )
    path = checked_path(path)
    if not path.exists():
        raise ExportError(f"There is nothing to verify at `path` {str(path)!r}.")
    target = recognized_target(path) if target is None else find_target(target)
    if target is None:
        raise ExportError(f"No export target knows the format of {str(path)!r}.")
    options = {"inputs": inputs, "prompt": prompt, "max_length": max_length, "atol": atol}
    options = {name: value for name, value in options.items() if value is not None}
    target.check_digest(path)
    exported = target.prepare_existing(path, model, **options)
    return run_and_compare(target, exported, path, metric)

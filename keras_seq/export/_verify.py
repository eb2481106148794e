"""`verify`: run an artifact that is already there and compare it with the model again."""

import pathlib

import numpy as np

from keras_seq.export._requirements import check_tensorflow
from keras_seq.export.report import ExportError
from keras_seq.export.targets.litert import comparison_inputs, verify_litert
from keras_seq.export.targets.saved_model import verify_saved_model
from keras_seq.generation.text_generator import TextGenerator


def verify(path, generator, inputs, prompt=None, atol=1e-3):
    """Run an exported file or folder in a process of its own and compare it with its model.

    Args:
        path: of a LiteRT file of `to_litert`, or of a SavedModel folder of `to_saved_model`.
        generator: the `Generator` (LiteRT) or `TextGenerator` (SavedModel) that was exported.
        inputs: what to compare on: context arrays (LiteRT), padded to the exported width, or a list
            of source strings (SavedModel); `None` where the model has no context.
        prompt: (N, P) prompts of the exported width, for a LiteRT file that takes them.
        atol: largest difference of scores (natural logarithms) that is let pass.

    Returns:
        `ExportReport`.

    Raises:
        ExportError: if there is no artifact, it cannot be run, or it does not agree with the model.

    Example:

    ```python
    import tempfile

    import numpy as np
    import keras_seq

    model = keras_seq.models.seq2seq_rnn(30, 20, embedding_dim=8, units=16)
    generator = keras_seq.generation.Generator(model, max_length=6, start_token=2, end_token=3)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.tflite"
        keras_seq.export.to_litert(generator, path, source_length=8)
        ids = np.array([[4, 5, 6, 7, 3, 0, 0, 0]])
        assert keras_seq.export.verify(path, generator, ids).agrees
    ```
    """
    check_tensorflow("verify")
    path = pathlib.Path(path)
    if not path.exists():
        raise ExportError(f"There is nothing to verify at `path` {str(path)!r}.")
    if isinstance(generator, TextGenerator):
        return verify_saved_model(generator, path, inputs, atol)
    inputs = generator.stepper.named_context(inputs)
    shapes = {name: np.shape(value) for name, value in inputs.items()}
    width = None if prompt is None else np.shape(prompt)[1]
    inputs, prompt = comparison_inputs(generator, shapes, width, inputs, prompt)
    return verify_litert(generator, path, inputs, prompt, atol)

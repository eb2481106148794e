"""`to_litert`: a generator as one LiteRT (TFLite) file, the whole loop inside."""

import dataclasses
import importlib.util
import json
import pathlib
import tempfile

import keras
import numpy as np

from keras_seq.export._agreement import compared_report
from keras_seq.export._files import is_file, written_beside
from keras_seq.export._process import run_worker
from keras_seq.export._requirements import check_tensorflow
from keras_seq.export.report import ExportError
from keras_seq.generation._checks import check_exportable, check_ids, padded_prompt
from keras_seq.layers._arguments import check_positive
from keras_seq.stepping._target_graph import vocabulary_size


def to_litert(
    generator,
    path,
    source_length=None,
    prompt_length=None,
    batch_size=1,
    inputs=None,
    prompt=None,
    atol=1e-3,
):
    """Export a generator as a LiteRT file: token ids in, token ids and scores out.

    The file holds the encoder, the generation loop and its state, and uses LiteRT's built-in
    operators only. Before it is put in place it is run in a process of its own, with LiteRT and
    NumPy alone, and compared with the Keras model token for token.

    The signature `generate` takes the model's context inputs by name, padded on the right to
    `source_length`, and `prompt` (int32, padded on the right) where the generator has no start
    token. It gives `tokens` (B, N) int32 and `scores` (B,) float32, as `Generator.generate`.

    Args:
        generator: a `keras_seq.generation.Generator`.
        path: of the file, by custom ending in `.tflite`. A file that stands there is replaced.
        source_length: S, the width of context inputs whose time is not fixed in the model.
        prompt_length: P, the width of the prompt. `None`: the generator's start token begins.
        batch_size: B of the file.
        inputs: context arrays to compare on, a dict by name or one array, any number of rows;
            64 random ones if `None`.
        prompt: (N, P) prompts to compare on, random ones if `None`.
        atol: largest difference of scores (natural logarithms) that is let pass.

    Returns:
        `ExportReport`.

    Raises:
        ValueError: if a length is missing or an input does not fit it.
        ExportError: if the file cannot be written, converted, loaded or run, or does not agree with
            the model. Then no file is left.

    Example:

    ```python
    import tempfile

    import keras_seq

    model = keras_seq.models.seq2seq_rnn(30, 20, embedding_dim=8, units=16)
    generator = keras_seq.generation.Generator(model, max_length=6, start_token=2, end_token=3)
    with tempfile.TemporaryDirectory() as folder:
        report = keras_seq.export.to_litert(generator, f"{folder}/model.tflite", source_length=8)
        print(report)
    ```
    """
    check_tensorflow("to_litert")
    _check_runtime()
    check_positive("to_litert", batch_size=batch_size)
    check_exportable(generator)
    shapes = _input_shapes(generator, source_length, batch_size)
    _check_prompt_length(generator, prompt_length, prompt)
    inputs, prompt = comparison_inputs(generator, shapes, prompt_length, inputs, prompt)

    with written_beside(path, is_file) as file, tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        _save_function(generator, shapes, prompt_length, batch_size, folder / "model")
        run_worker("convert_litert", folder / "model", file, what="convert the model to LiteRT")
        report = verify_litert(generator, file, inputs, prompt, atol)
    return dataclasses.replace(report, path=str(path))


def verify_litert(generator, path, inputs, prompt, atol):
    """Run a LiteRT file in a process of its own and compare it with the generator."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        arrays = dict(inputs) if prompt is None else {**inputs, "prompt": prompt}
        np.savez(folder / "inputs.npz", **arrays)
        run_worker(
            "run_litert", path, folder / "inputs.npz", folder / "outputs.npz", 20,
            what="run the LiteRT file",
        )  # fmt: skip
        outputs = dict(np.load(folder / "outputs.npz"))
    ops = json.loads(str(outputs["report"]))["ops"]
    foreign = sorted(op for op in ops if not op.isupper())  # custom ops are in CamelCase
    if foreign:
        raise ExportError(f"The LiteRT file needs operators that are not built in: {foreign}")
    return compared_report("LiteRT", path, outputs, generator, inputs, prompt, atol)


def comparison_inputs(generator, shapes, prompt_length, inputs, prompt, count=64):
    """Checked or random arrays to compare an artifact on: `(inputs, prompt)`."""
    rng = np.random.default_rng(0)
    names = generator.stepper.context_inputs
    if prompt is not None:
        prompt, _ = padded_prompt(prompt, generator.pad_token, None)
        count = len(prompt)
    if inputs is None:
        inputs = {name: _random_rows(generator, name, shapes[name], count, rng) for name in names}
    else:
        inputs = generator.stepper.named_context(inputs)
        inputs = {name: _checked(generator, name, inputs[name], shapes[name]) for name in names}
    counts = {name: len(value) for name, value in inputs.items()}
    if prompt is not None:
        counts["prompt"] = count
    if len(set(counts.values())) > 1:
        raise ValueError(f"What is compared on must have equal rows. Received: {counts}")
    count = next(iter(counts.values()), count)
    if prompt_length is None:
        return inputs, None
    shape = (None, prompt_length)
    if prompt is None:
        return inputs, _random_rows(generator, generator.stepper.target, shape, count, rng)
    return inputs, _checked(generator, generator.stepper.target, prompt, shape)


def _input_shapes(generator, source_length, batch_size):
    shapes = {}
    for name in generator.stepper.context_inputs:
        shape = list(generator.stepper.graph.inputs[name].shape)
        if None in shape[1:] and source_length is None:
            raise ValueError(
                f"`source_length` of to_litert must be given, because the model's input `{name}` "
                f"has the open shape {tuple(shape)}."
            )
        shapes[name] = (batch_size, *(source_length if d is None else d for d in shape[1:]))
    if source_length is not None:
        check_positive("to_litert", source_length=source_length)
    return shapes


def _save_function(generator, shapes, prompt_length, batch_size, folder):
    """Write a SavedModel whose one signature is the generation loop with static shapes."""
    import tensorflow as tf

    specs = {
        name: tf.TensorSpec(shape, generator.stepper.graph.inputs[name].dtype, name=name)
        for name, shape in shapes.items()
    }
    if prompt_length is not None:
        specs["prompt"] = tf.TensorSpec((batch_size, prompt_length), "int32", name="prompt")

    def generate(**arguments):
        prompt = arguments.pop("prompt", None)
        start = tf.fill((batch_size, 1), np.int32(generator.start_token or 0))
        ids = start if prompt is None else prompt
        lengths = tf.reduce_sum(tf.cast(tf.not_equal(ids, generator.pad_token), "int32"), axis=1)
        if prompt is None:
            lengths = tf.ones((batch_size,), "int32")
        tokens, scores, _ = generator.decode(arguments, ids, lengths, 0, generator.max_length)
        return {"tokens": tokens[:, 1:] if prompt is None else tokens, "scores": scores}

    module = tf.Module()
    module.weights = [v.value for v in generator.model.variables]
    module.generate = tf.function(generate, autograph=False)
    signature = module.generate.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures={"generate": signature})


def _random_rows(generator, name, shape, count, rng):
    symbolic = generator.stepper.graph.inputs[name]
    shape = (count, *shape[1:])
    if not np.issubdtype(np.dtype(symbolic.dtype), np.integer):
        return rng.normal(size=shape).astype(symbolic.dtype)
    limit = vocabulary_size(generator.model, name) or generator.vocabulary_size
    ids = rng.integers(0, limit, size=shape)
    if len(shape) == 2:  # rows of every length, padded on the right
        padding = _padding(generator, name)
        ids[ids == padding] = (padding + 1) % limit
        lengths = 1 + rng.permutation(count) % shape[1]
        ids = np.where(np.arange(shape[1]) < lengths[:, None], ids, padding)
    return ids.astype(symbolic.dtype)


def _padding(generator, name):
    """What fills rows: `pad_token` is the target's; a context is masked where it is 0."""
    return generator.pad_token if name == generator.stepper.target else 0


def _checked(generator, name, value, shape):
    """An array for the input `name`, padded to `shape` but for its rows."""
    value = np.asarray(keras.ops.convert_to_numpy(value))
    dtype = np.dtype(generator.stepper.graph.inputs[name].dtype)
    if value.ndim != len(shape):
        raise ValueError(f"`{name}` must have {len(shape)} dimensions. Received: {value.shape}")
    if np.issubdtype(dtype, np.integer):
        check_ids(name, value, vocabulary_size(generator.model, name))
    missing = [d - n for d, n in zip(shape[1:], value.shape[1:], strict=True)]
    if min(missing, default=0) < 0:
        raise ValueError(
            f"`{name}` must fit the exported shape {tuple(shape[1:])}. "
            f"Received: {value.shape[1:]}. Export with a larger length, or compare on shorter "
            "inputs."
        )
    widths = [(0, 0), *((0, m) for m in missing)]
    return np.pad(value, widths, constant_values=_padding(generator, name)).astype(dtype)


def _check_prompt_length(generator, prompt_length, prompt):
    if prompt_length is not None:
        check_positive("to_litert", prompt_length=prompt_length)
        return
    if generator.start_token is None or not generator.stepper.context_inputs:
        raise ValueError(
            "`prompt_length` of to_litert must be given, because the generator has no start token "
            "or its model no context input: each sequence begins with a prompt."
        )
    if prompt is not None:
        raise ValueError("`prompt` of to_litert needs `prompt_length`, the width of the prompt.")


def _check_runtime():
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise ExportError(
            "to_litert runs the file that it writes, which needs the package ai-edge-litert: "
            'pip install "keras_seq[litert]"'
        )

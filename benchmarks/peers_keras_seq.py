"""keras_seq for generate.py: compiled by TensorFlow or JAX, and as a LiteRT file."""

import functools
import pathlib
import tempfile

import numpy as np

import keras_seq

START = 2


def build(system, case, threads):
    """A function that generates (B, N) tokens."""
    generator = make_generator(case)
    rng = np.random.default_rng(0)
    given = rng.integers(4, case["vocabulary"], size=(case["batch"], case["given"])).astype("int32")
    if "litert" in system:
        return run_litert(generator, case, given, threads, int8=system.endswith("int8"))
    if case["kind"] == "translation":
        return lambda: np.asarray(generator.generate(given).tokens)
    return lambda: np.asarray(generator.generate(prompt=given).tokens)[:, case["given"] :]


def make_generator(case):
    sampler = "greedy"
    if case["beams"] > 1:
        sampler = keras_seq.generation.BeamSampler(num_beams=case["beams"])
    start = START if case["kind"] == "translation" else None
    sizes = tuple(case[n] for n in ("kind", "vocabulary", "layers", "width", "heads", "inner"))
    return keras_seq.generation.Generator(
        make_model(*sizes), max_length=case["new"], start_token=start, sampler=sampler
    )


@functools.lru_cache(1)
def make_model(kind, vocabulary, layers, width, heads, inner):
    if kind == "translation":
        return keras_seq.models.transformer(
            vocabulary,
            vocabulary,
            num_layers=layers,
            num_heads=heads,
            hidden_dim=width,
            intermediate_dim=inner,
        )
    return keras_seq.models.decoder_only_transformer(
        vocabulary,
        num_layers=layers,
        num_heads=heads,
        hidden_dim=width,
        intermediate_dim=inner,
    )


def run_litert(generator, case, given, threads, int8):
    """Convert the generation loop with the case's shapes and load the file."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    translation = case["kind"] == "translation"

    def generate(given):
        inputs = {generator.stepper.context_inputs[0]: given} if translation else {}
        prompt = tf.fill((case["batch"], 1), START) if translation else given
        width = 1 if translation else case["given"]
        lengths = tf.fill((case["batch"],), width)
        tokens, _, _ = generator.decode(inputs, prompt, lengths, width - 1, case["new"])
        return {"tokens": tokens[:, width:]}

    module = tf.Module()
    module.weights = [v.value for v in generator.model.variables]
    module.generate = tf.function(
        generate, [tf.TensorSpec(given.shape, "int32", name="given")], autograph=False
    )
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(
            module, folder, signatures={"generate": module.generate.get_concrete_function()}
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["generate"])
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        path = pathlib.Path(folder) / "model.tflite"
        path.write_bytes(converter.convert())
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
    runner = interpreter.get_signature_runner("generate")
    return lambda: runner(given=given)["tokens"]

"""`to_litert`: a generator or a model as one LiteRT (TFLite) file of built-in operators."""

import importlib.util

from keras_seq.export._carried_texts import CarriedTexts, compared_ids
from keras_seq.export._digest import add_file_digest, check_file_digest
from keras_seq.export._exported_generator import ExportedGenerator
from keras_seq.export._exported_model import ExportedModel
from keras_seq.export._exported_stream import ExportedStream
from keras_seq.export._float32 import in_float32
from keras_seq.export._model_call import ModelCall
from keras_seq.export._process import WORKERS, run_artifact
from keras_seq.export._requirements import check_tensorflow
from keras_seq.export._target import ExportTarget, export_to, register_target
from keras_seq.export.report import ExportError
from keras_seq.export.targets._litert_conversion import check_ops, convert
from keras_seq.export.targets._litert_functions import (
    check_kind,
    prepared_generator,
    prepared_model,
    tolerances,
)
from keras_seq.export.targets._quantization import checked_quantization
from keras_seq.generation.text_generator import TextGenerator
from keras_seq.runtime._metadata import add_metadata, read_metadata


def to_litert(
    model,
    path,
    *,
    inputs=None,
    batch_size=1,
    atol=None,
    quantize=None,
    representative_data=None,
    source_length=None,
    prompt_length=None,
    prompt=None,
    min_agreement=None,
    time=None,
    streaming=False,
    max_length=None,
    recurrence=None,
):
    """Export a generator or a model as a LiteRT file of built-in operators.

    The file is written to a temporary place and run in a process of its own, with LiteRT and NumPy
    alone. Its outputs are compared with the Keras model's own call on whole sequences, without
    stepping or cache; the file appears at `path` only if they agree.

    The file of a `Generator` holds the encoder, the generation loop and its state. Its signature
    `generate` takes the model's context inputs by name, of any length, or padded on the right to
    `source_length`, and `prompt` (int32, padded on the right) where `prompt_length` is given. It
    gives `tokens` (B, N) int32 and `scores` (B,) float32, as `Generator.generate`. Each token must
    be the one that the model's own call chooses, see `ExportReport`.

    Where the sampler draws (`RandomSampler`, `TopKSampler`, `TopPSampler`, or your own with
    `needs_seed`), `generate` also takes `seed` (2,) int32, for all rows of the call. It draws what
    `Generator.generate(seed=n)` draws of the same rows if the seed is the two halves of n, the
    lower 32 bits first: `np.array([n % 2**32, n >> 32], "uint32").view("int32")`; for n below 2^31
    that is `[n, 0]`. The sampler's own `seed` is not in the file: a client that wants other tokens
    at each call passes other seeds, by a clock or a counter.

    With `streaming=True` the signatures `prefill` and `step` stand beside `generate`, on the same
    weights. `prefill` takes what `generate` takes, and gives `token` (B,) int32, `scores` (B,),
    `finished` (B,) and `state_0`, `state_1`, ...; `step` takes the states and gives the next token,
    and the states that change. The tokens are those of `generate`; a client that calls `step` until
    all rows have finished has them one by one. `keras_seq.runtime.LiteRTGenerator` does so.

    The file of a model has the signature `serve`, which takes the model's inputs by name and gives
    its outputs by name. With `streaming=True` the signature is `step`: it also takes `state_0`,
    `state_1`, ... and gives them back under the same names. A client begins with zeros and passes
    on what the last chunk gave.

    Models that compute in half precision are exported in float32, from the same weights.

    The file of a `TextGenerator` is that of its generator and carries the tokenizers, from which
    `keras_seq.runtime.LiteRTGenerator` goes from strings to strings; every file says what its
    special ids and lengths are, in a zip archive behind the model (see docs/runtime.md).

    Args:
        model: a `keras_seq.generation.Generator` or `TextGenerator`, or a functional or built
            Sequential `keras.Model`.
        path: of the file, by convention ending in `.tflite`. A LiteRT file that exists there is
            replaced; a symbolic link is followed.
        inputs: arrays to compare on, a dict by name or one array; random ones if `None`. Context of
            a generator, any number of rows; for a model, rows and lengths that the file takes. Of a
            text generator: list of strings.
        batch_size: B of the file; `None` leaves it open where the model does (not of a generator).
        atol: tolerance of scores (natural logarithms) of a generator, if `None` 1e-3, and 0.02 a
            token more with float16, 0.25 with int8 weights; of a model's outputs, relative to an
            output's largest number where that is above 1, if `None` 1e-5, with float16 0.01, with
            int8 weights 0.1, with int8 activations, too, 0.2.
        quantize: `None` leaves float32. `"float16"` halves the file; LiteRT computes in float32.
            `"dynamic_int8"` makes large weights 8 bits wide and the file about a quarter, and
            quantizes activations as they come: the choice for CPUs. `"int8"`, of models without
            loops, makes activations 8 bits wide, too, in ranges that are measured on
            `representative_data`: for accelerators that compute with integers alone. Inputs and
            outputs stay as they are, and so do operators that have no such form. A recurrent layer
            is then written out step by step, which needs `time`.
        representative_data: arrays as `inputs`, like those that the file will be given, a hundred
            rows or more; for `quantize="int8"`, `inputs` if `None`.
        source_length: generators: S, the width of context inputs whose time the model leaves open.
            `None` leaves it open: a client resizes the input to what it has, which is faster where
            lengths differ (`ResizeInputTensor` in C++; by itself in Python and Kotlin).
        prompt_length: generators: P, the width of the prompt. `None`: the start token begins.
        prompt: generators: (N, P) prompts to compare on, random ones if `None`.
        min_agreement: generators: fraction of the new tokens that must be those of the model's own
            call; if `None` 1 in float32, 0.9 with float16 and 0.5 with int8 weights, below which a
            file is broken rather than rounded. How good it is says a metric of yours, see `verify`.
        time: models: T, the number of time steps, or of a chunk; `None` leaves it open where the
            model does.
        streaming: of a model: whether a client calls the file chunk after chunk. The model needs
            one input, and layers that can be stepped. Of a generator: whether the file can also be
            called token by token; beams cannot.
        max_length: models: largest number of time steps of a stream; needed where the model
            attends.
        recurrence: models: form of the recurrent layers: "loop", an int (time steps an iteration
            of the loop, which costs more than a small step), or "fused" (LiteRT's LSTM operator
            where the batch is fixed and there is neither mask nor state; the smallest file). `None`
            chooses by size what was fastest when measured.

    Returns:
        `ExportReport`.

    Raises:
        TypeError: if `model` is none that can be exported.
        ValueError: if a length is missing, an argument is out of range or for another kind of
            model, an input does not fit, or the model cannot be streamed.
        ExportError: if the file cannot be written, converted, loaded or run, needs operators that
            are not built in, or does not agree with the model. Then no file is left.

    Example:

    ```python
    import keras
    import keras_seq

    model = keras_seq.models.seq2seq_rnn(30, 20, embedding_dim=8, units=16)
    generator = keras_seq.generation.Generator(model, max_length=6, start_token=2, end_token=3)
    print(keras_seq.export.to_litert(generator, "translator.tflite", source_length=8))

    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, keras_seq.layers.GRU(8, return_sequences=True, name="y")(x))
    print(keras_seq.export.to_litert(model, "stream.tflite", time=10, streaming=True))
    ```
    """
    options = {
        "inputs": inputs,
        "batch_size": batch_size,
        "atol": atol,
        "quantize": quantize,
        "representative_data": representative_data,
        "source_length": source_length,
        "prompt_length": prompt_length,
        "prompt": prompt,
        "min_agreement": min_agreement,
        "time": time,
        "streaming": streaming,
        "max_length": max_length,
        "recurrence": recurrence,
    }
    return export_to(LiteRT(), model, path, **options)


class LiteRT(ExportTarget):
    """A LiteRT file; see `to_litert`."""

    format = "LiteRT"

    def prepare(self, model, inputs=None, batch_size=1, atol=None, **options):
        self._check_requirements()
        if isinstance(model, TextGenerator):
            texts = CarriedTexts(model)
            options |= {"batch_size": batch_size, "atol": atol, **compared_ids(model, inputs)}
            exported = self.prepare(model.generator, **options)
            exported.texts, exported.text_generator = texts, model
            return exported
        kind = check_kind(model, options)
        model = in_float32(model)
        if kind == "generator":
            return prepared_generator(model, inputs, batch_size, atol, **options)
        return prepared_model(model, inputs, batch_size, atol, **options)

    def prepare_existing(
        self, path, model, inputs=None, prompt=None, max_length=None, atol=None, min_agreement=None
    ):
        self._check_requirements()
        if isinstance(model, TextGenerator):
            options = {"prompt": prompt, "atol": atol, "min_agreement": min_agreement}
            options |= compared_ids(model, inputs)
            exported = self.prepare_existing(path, model.generator, **options)
            exported.text_generator = model
            return exported
        given = {"prompt": prompt, "max_length": max_length, "min_agreement": min_agreement}
        kind = check_kind(model, {name: v for name, v in given.items() if v is not None})
        model = in_float32(model)
        facts = run_artifact(_RUN, path, [], what="read the LiteRT file").facts
        specs = {name: (tuple(shape), dtype) for name, (shape, dtype) in facts["inputs"].items()}
        shapes = {name: shape for name, (shape, _) in specs.items()}
        if (facts["signature"] == "generate") != (kind == "generator"):
            raise TypeError(
                f"The LiteRT file {str(path)!r} has the signature {facts['signature']!r} and "
                f"is none of a {type(model).__name__}. Pass what it was exported from."
            )
        if kind == "generator":
            if ("seed" in shapes) != getattr(model.strategy, "needs_seed", False):
                raise TypeError(
                    f"The LiteRT file {str(path)!r} takes {'a' if 'seed' in shapes else 'no'} seed "
                    f"and is none of a generator with {type(model.sampler).__name__}. Pass what it "
                    "was exported from."
                )
            shapes.pop("seed", None)
            batch_size = next(iter(shapes.values()))[0]
            length = shapes.pop("prompt", (None, None))[1]
            _check_names(path, shapes, model.stepper.context_inputs)
            return ExportedGenerator(
                model, shapes, length, batch_size, inputs, prompt,
                streaming="prefill" in facts["signatures"],
                **tolerances(model, facts["quantize"], atol, min_agreement),
            )  # fmt: skip
        names = ModelCall(model).names
        atol = checked_quantization(facts["quantize"]).atol if atol is None else atol
        states = {name: spec for name, spec in specs.items() if name not in names}
        shapes = {name: shape for name, shape in shapes.items() if name in names}
        _check_names(path, shapes, names)
        if facts["signature"] == "step":
            max_length = max_length or read_metadata(path)[0].get("max_length")
            return ExportedStream(model, inputs, atol, shapes, max_length, states)
        _check_names(path, {**shapes, **states}, names)
        return ExportedModel(model, inputs, atol, {name: shapes[name] for name in names})

    def _check_requirements(self):
        check_tensorflow("to_litert")
        if importlib.util.find_spec("ai_edge_litert") is None:
            raise ExportError(
                "to_litert runs the file that it writes, which needs the package ai-edge-litert: "
                'pip install "keras_seq[litert]"'
            )

    def recognizes(self, path):
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            return file.read(8)[4:] in (b"TFL3", b"")  # or the file is empty

    def write(self, exported, path):
        convert(exported, path)
        metadata, files = exported.metadata()
        if metadata:
            add_metadata(path, metadata, files)

    def add_digest(self, path):
        add_file_digest(path)

    def check_digest(self, path):
        check_file_digest(path)

    def run(self, exported, path):
        run = run_artifact(_RUN, path, exported.calls, what="run the LiteRT file")
        check_ops(run.facts["ops"], exported.options.get("recurrence"))
        return run


_RUN = WORKERS / "run_litert.py"
register_target("litert", LiteRT())


def _check_names(path, shapes, names):
    if set(shapes) != set(names):
        raise ExportError(
            f"The LiteRT file {str(path)!r} takes the inputs {sorted(shapes)}, and the model "
            f"{sorted(names)}: it was not exported from this model."
        )

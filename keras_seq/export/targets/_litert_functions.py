"""What a LiteRT file is to hold, from the arguments of `to_litert`."""

from keras_seq.export._exported_generator import ExportedGenerator, check_prompt_length
from keras_seq.export._exported_model import ExportedModel, check_functional
from keras_seq.export._exported_stream import ExportedStream
from keras_seq.export._model_call import ModelCall
from keras_seq.export._model_inputs import model_shapes, split_rows
from keras_seq.export.targets._quantization import checked_quantization, score_tolerance
from keras_seq.generation.generator import Generator
from keras_seq.layers._arguments import check_positive

_OF_BOTH = ("quantize", "streaming", "representative_data")
_ONLY_INT8 = "`representative_data` of to_litert is for `quantize='int8'` alone."
_INT8_ADVICE = (
    "\nAll numbers of an activation share one range of 256 steps, which is too coarse where they "
    "differ by orders, as scores of attention do, masked ones above all.\nUse "
    "quantize='dynamic_int8', whose weights are as small, or give the `atol` that your `metric` "
    "allows."
)
_OF_GENERATORS = ("source_length", "prompt_length", "prompt", "min_agreement")
_OF_MODELS = ("time", "max_length", "recurrence")


def check_kind(model, options):
    """Whether a "generator" or a "model" is exported; the options are for its kind."""
    kind = "generator" if isinstance(model, Generator) else "model"
    if kind == "model":
        check_functional(model)
    known, other = (_OF_GENERATORS, _OF_MODELS)[:: 1 if kind == "generator" else -1]
    for name, value in options.items():
        if name not in known + other + _OF_BOTH:
            raise TypeError(f"to_litert has no argument `{name}`.")
        if name in other and value is not None and value is not False:
            raise ValueError(
                f"`{name}` of to_litert is not for a {type(model).__name__}. "
                f"Received: {name}={value!r}"
            )
    return kind


def prepared_generator(
    generator,
    inputs,
    batch_size,
    atol,
    quantize=None,
    source_length=None,
    prompt_length=None,
    prompt=None,
    min_agreement=None,
    streaming=False,
    representative_data=None,
    **_,
):
    """`ExportedGenerator`; the arguments are those of `to_litert`."""
    checked_quantization(quantize)
    if quantize == "int8":
        raise ValueError(
            "`quantize='int8'` of to_litert is not for a Generator: TFLite's converter cannot "
            "measure the activations inside its loop. Use 'dynamic_int8', whose weights are as "
            "small."
        )
    if representative_data is not None:
        raise ValueError(_ONLY_INT8)
    check_positive("to_litert", batch_size=batch_size)
    shapes = _context_shapes(generator, source_length, batch_size)
    check_prompt_length("to_litert", generator, prompt_length, prompt)
    exported = ExportedGenerator(
        generator, shapes, prompt_length, batch_size, inputs, prompt, streaming=streaming,
        **tolerances(generator, quantize, atol, min_agreement),
    )  # fmt: skip
    exported.options = {"quantize": quantize}
    return exported


def tolerances(generator, quantize, atol, min_agreement):
    """Those of an `ExportedGenerator`; of its quantization, where they are `None`."""
    if atol is None:
        atol = score_tolerance(quantize, generator.max_length)
    if min_agreement is None:
        min_agreement = checked_quantization(quantize).min_agreement
    return {"atol": atol, "min_agreement": min_agreement}


def prepared_model(
    model,
    inputs,
    batch_size,
    atol,
    quantize=None,
    time=None,
    streaming=False,
    max_length=None,
    recurrence=None,
    representative_data=None,
    **_,
):
    """`ExportedModel` or `ExportedStream`; the arguments are those of `to_litert`."""
    sizes = {"time": time, "batch_size": batch_size, "max_length": max_length}
    check_positive("to_litert", **{name: size for name, size in sizes.items() if size is not None})
    quantization = checked_quantization(quantize)
    whole = isinstance(recurrence, int) and not isinstance(recurrence, bool) and recurrence > 0
    if not whole and recurrence not in (None, "loop", "fused"):
        raise ValueError(
            "`recurrence` of to_litert must be None, 'loop', 'fused' or the number of time steps "
            f"an iteration of the loop, an int of at least 1. Received: {recurrence!r}"
        )
    if quantize == "int8" and representative_data is None and inputs is None:
        raise ValueError(
            "`quantize='int8'` of to_litert needs `representative_data`, arrays like those that "
            "the file will be given (a hundred rows or more), or `inputs`: the ranges of all "
            "activations are measured on them."
        )
    if quantize != "int8" and representative_data is not None:
        raise ValueError(_ONLY_INT8)
    atol = quantization.atol if atol is None else atol
    shapes = model_shapes(ModelCall(model), time, batch_size)
    if streaming:
        exported = ExportedStream(model, inputs, atol, shapes, max_length)
    else:
        exported = ExportedModel(model, inputs, atol, shapes)
    exported.options = {"quantize": quantize, "recurrence": recurrence}
    if quantize == "int8":
        data = inputs if representative_data is None else representative_data
        calls = exported.calls_of(split_rows(exported.checked(data), exported.shapes))
        exported.options["representative_calls"] = calls
        exported.advice = _INT8_ADVICE
    return exported


def _context_shapes(generator, source_length, batch_size):
    """Dict from context input to shape; what the model leaves open stays so without a length."""
    if source_length is not None:
        check_positive("to_litert", source_length=source_length)
    inputs = generator.stepper.graph.inputs
    return {
        name: (batch_size, *(source_length if d is None else d for d in inputs[name].shape[1:]))
        for name in generator.stepper.context_inputs
    }

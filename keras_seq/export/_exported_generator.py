"""A generator as a function of token ids."""

import numpy as np
from keras import ops

from keras_seq.export._compare_tokens import compare_tokens, target_time
from keras_seq.export._exported_function import ExportedFunction, median_milliseconds
from keras_seq.export._generator_inputs import comparison_inputs
from keras_seq.generation._exportable import check_exportable


class ExportedGenerator(ExportedFunction):
    """The generation loop: context and prompt in, tokens and scores out.

    Args:
        model: a `keras_seq.generation.Generator`.
        shapes: dict from context input name to shape, without open dimensions.
        prompt_length: P, or `None` where the start token begins.
        batch_size: B.
        inputs: context arrays to compare on, dict by name or one array; random ones if `None`.
        prompt: (N, P) prompts to compare on; random ones if `None`.
        atol: tolerance of scores.
    """

    signature = "generate"

    def __init__(self, model, shapes, prompt_length, batch_size, inputs, prompt, atol):
        super().__init__(model, atol)
        check_exportable(model)
        target_time(model, prompt_length or 1)
        self.shapes, self.prompt_length, self.batch_size = shapes, prompt_length, batch_size
        self.inputs, self.prompt = comparison_inputs(model, shapes, prompt_length, inputs, prompt)
        arrays = dict(self.inputs)
        if self.prompt is not None:
            arrays["prompt"] = self.prompt
        self.count = len(next(iter(arrays.values())))
        for begin in range(0, self.count, batch_size):
            rows = np.minimum(np.arange(begin, begin + batch_size), self.count - 1)
            self.calls.append({name: value[rows] for name, value in arrays.items()})

    def specs(self):
        inputs = self.model.stepper.graph.inputs
        specs = {name: (shape, inputs[name].dtype) for name, shape in self.shapes.items()}
        if self.prompt_length is not None:
            specs["prompt"] = ((self.batch_size, self.prompt_length), "int32")
        return specs

    def __call__(self, **inputs):
        generator, prompt = self.model, inputs.pop("prompt", None)
        if prompt is None:
            ids = ops.full((self.batch_size, 1), generator.start_token, dtype="int32")
            lengths = ops.ones((self.batch_size,), dtype="int32")
        else:
            ids = prompt
            filled = ops.not_equal(ids, generator.pad_token)
            lengths = ops.sum(ops.cast(filled, "int32"), axis=1)
        tokens, scores, _ = generator.decode(inputs, ids, lengths, 0, generator.max_length)
        return {"tokens": tokens[:, 1:] if prompt is None else tokens, "scores": scores}

    def compare(self, what, outputs):
        tokens, scores = (
            np.concatenate([output[name] for output in outputs])[: self.count]
            for name in ("tokens", "scores")
        )
        arguments = (self.model, self.inputs, self.prompt, tokens, scores, self.atol)
        return compare_tokens(what, *arguments)

    def model_latency(self):
        return generate_latency(self.model, self.calls[:20])


def generate_latency(generator, calls):
    """Median milliseconds of `Generator.generate` on each of a list of dicts of arrays."""

    def generate(call):
        context = {name: value for name, value in call.items() if name != "prompt"}
        ops.convert_to_numpy(generator.generate(context or None, call.get("prompt")).tokens)

    return median_milliseconds(generate, calls)

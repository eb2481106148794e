"""A generator as a function of token ids."""

import numpy as np
from keras import ops

from keras_seq.export._compare_tokens import compare_tokens, target_time
from keras_seq.export._draws import Draws
from keras_seq.export._exported_function import (
    ExportedFunction,
    median_milliseconds,
    rows_of_calls,
)
from keras_seq.export._generator_inputs import comparison_inputs, open_shapes, widths
from keras_seq.generation._exportable import check_exportable
from keras_seq.generation.samplers._random_numbers import seed_of_words, seed_words
from keras_seq.layers._arguments import check_positive

_FIRST_SEED = 2**40 + 1  # both words count


class ExportedGenerator(ExportedFunction):
    """The generation loop: context, prompt and seed in, tokens and scores out.

    Args:
        model: a `keras_seq.generation.Generator`.
        shapes: dict from context input name to shape, without open dimensions; `None`: those of
            the model, with all that it leaves open.
        prompt_length: P, or `None` where the start token begins.
        batch_size: B, or `None`: open.
        inputs: context arrays to compare on, dict by name or one array; random ones if `None`.
        prompt: (N, P) prompts to compare on; random ones if `None`.
        atol: tolerance of scores.
        min_agreement: fraction of the tokens that must be equal; 1 where nothing is quantized.
    """

    signature = "generate"
    texts = None  # the tokenizers that it carries

    def __init__(
        self, model, shapes, prompt_length, batch_size, inputs, prompt, atol, min_agreement=1.0
    ):
        super().__init__(model, atol)
        self.min_agreement = min_agreement
        check_exportable(model, takes_seed=True)
        self.draws = getattr(model.strategy, "needs_seed", False)
        taken = {"prompt", "seed"} & set(model.stepper.context_inputs)
        if taken:
            raise ValueError(
                f"The model's context inputs must not be named {sorted(taken)}, which the file "
                "takes beside them. Rename them."
            )
        target_time(model, prompt_length or 1)
        self.prompt_length, self.batch_size = prompt_length, batch_size
        self.shapes = open_shapes(model) if shapes is None else shapes
        compared = widths(model, inputs) if shapes is None else shapes
        self.inputs, self.prompt = comparison_inputs(model, compared, prompt_length, inputs, prompt)
        arrays = dict(self.inputs)
        if self.prompt is not None:
            arrays["prompt"] = self.prompt
        self.count = len(next(iter(arrays.values())))
        if batch_size is None:
            rows_of_each = rows_of_calls(self.count)
        else:
            begins = range(0, self.count, batch_size)
            rows_of_each = [
                np.minimum(np.arange(begin, begin + batch_size), self.count - 1) for begin in begins
            ]
        for rows in rows_of_each:
            self.calls.append({name: value[rows] for name, value in arrays.items()})
        if self.draws:
            for number, call in enumerate(self.calls):
                call["seed"] = seed_words(_FIRST_SEED + number)

    @property
    def keras_model(self):
        return self.model.model

    def metadata(self):
        generator = self.model
        context = generator.stepper.context_inputs
        padding = {name: generator.source_padding(name) for name in context}
        metadata = {
            "format": 1,
            "kind": "generator",
            "start_token": generator.start_token,
            "end_tokens": list(map(int, generator.end_tokens)),
            "pad_token": generator.pad_token,
            "max_length": generator.max_length,
            "padding": {**padding, "prompt": generator.pad_token},
        }
        if self.texts is None:
            return metadata, {}
        source = {"source_input": self.texts.text_generator.source_input}
        return {**metadata, **source, "tokenizers": self.texts.folders}, self.texts.files

    def specs(self):
        inputs = self.model.stepper.graph.inputs
        specs = {name: (shape, inputs[name].dtype) for name, shape in self.shapes.items()}
        if self.prompt_length is not None:
            specs["prompt"] = ((self.batch_size, self.prompt_length), "int32")
        if self.draws:
            specs["seed"] = ((2,), "int32")
        return specs

    def __call__(self, **inputs):
        generator = self.model
        prompt, seed = inputs.pop("prompt", None), inputs.pop("seed", None)
        if prompt is None:
            batch = self.batch_size or ops.shape(next(iter(inputs.values())))[0]
            ids = ops.full((batch, 1), generator.start_token, dtype="int32")
            lengths = ops.ones((batch,), dtype="int32")
        else:
            ids = prompt
            filled = ops.not_equal(ids, generator.pad_token)
            lengths = ops.sum(ops.cast(filled, "int32"), axis=1)
        tokens, scores, _ = generator.decode(
            inputs, ids, lengths, 0, generator.max_length, seed=seed
        )
        return {"tokens": tokens[:, 1:] if prompt is None else tokens, "scores": scores}

    def compare(self, what, outputs):
        tokens, scores = (
            np.concatenate([output[name] for output in outputs])[: self.count]
            for name in ("tokens", "scores")
        )
        arguments = (self.model, self.inputs, self.prompt, tokens, scores, self.atol)
        draws = None
        if self.draws:
            seeds = [call["seed"] for call in self.calls]
            draws = Draws(self.model.sampler, seeds, [_rows(call) for call in self.calls])
        return compare_tokens(what, *arguments, draws, self.min_agreement)

    def model_latency(self):
        fewest = min(map(_rows, self.calls))
        calls = [call for call in self.calls if _rows(call) == fewest]
        return generate_latency(self.model, calls[:20])


def _rows(call):
    return next(len(array) for name, array in call.items() if name != "seed")


def check_prompt_length(exporter, generator, prompt_length, prompt):
    """Raise unless each sequence has something to begin with."""
    if prompt_length is not None:
        check_positive(exporter, prompt_length=prompt_length)
        return
    if generator.start_token is None or not generator.stepper.context_inputs:
        raise ValueError(
            f"`prompt_length` of {exporter} must be given, because the generator has no start "
            "token or its model no context input: each sequence begins with a prompt."
        )
    if prompt is not None:
        raise ValueError(f"`prompt` of {exporter} needs `prompt_length`, the width of the prompt.")


def generate_latency(generator, calls):
    """Median milliseconds of `Generator.generate` on each of a list of dicts of arrays."""

    def generate(call):
        context = {name: x for name, x in call.items() if name not in ("prompt", "seed")}
        seed = seed_of_words(call["seed"]) if "seed" in call else None
        generated = generator.generate(context or None, call.get("prompt"), seed=seed)
        ops.convert_to_numpy(generated.tokens)

    return median_milliseconds(generate, calls)

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
from keras_seq.export._generator_steps import STATE, GeneratorSteps
from keras_seq.generation._exportable import check_exportable
from keras_seq.generation.samplers._random_numbers import seed_of_words, seed_words
from keras_seq.layers._arguments import check_positive

_FIRST_SEED = 2**40 + 1  # both words count
_STREAMED = 8  # calls that are also made token by token


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
        streaming: whether `prefill` and `step` stand beside `generate`, see `GeneratorSteps`.
    """

    signature = "generate"
    texts = None  # the tokenizers that it carries

    def __init__(
        self,
        model,
        shapes,
        prompt_length,
        batch_size,
        inputs,
        prompt,
        atol,
        min_agreement=1.0,
        streaming=False,
    ):
        super().__init__(model, atol)
        self.min_agreement = min_agreement
        check_exportable(model, takes_seed=True)
        self.draws = getattr(model.strategy, "needs_seed", False)
        context = model.stepper.context_inputs
        taken = [n for n in context if n in ("prompt", "seed") or n.startswith(STATE)]
        if taken:
            raise ValueError(
                f"The model's context inputs must not be named {taken}, which the file takes "
                "beside them. Rename them."
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
        self.steps, self.streams = None, []  # numbers of the calls that are also streamed
        if streaming:
            self.steps = GeneratorSteps(model, self._begin, self.calls[0])
            self.streams = list(range(len(self.calls)))[:_STREAMED]
            self.calls += [
                {f"prefill/{name}": value for name, value in self.calls[number].items()}
                for number in self.streams
            ]

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

    def functions(self):
        functions = super().functions()
        if self.steps is not None:
            functions["prefill"] = self.steps.prefill, self.specs()
            functions["step"] = self.steps.step, self.steps.specs
        return functions

    def _begin(self, inputs):
        """`(context, ids, lengths, seed)` of inputs by name."""
        generator, context = self.model, dict(inputs)
        prompt, seed = context.pop("prompt", None), context.pop("seed", None)
        if prompt is None:
            batch = self.batch_size or ops.shape(next(iter(context.values())))[0]
            ids = ops.full((batch, 1), generator.start_token, dtype="int32")
            lengths = ops.ones((batch,), dtype="int32")
        else:
            ids = prompt
            filled = ops.not_equal(ids, generator.pad_token)
            lengths = ops.sum(ops.cast(filled, "int32"), axis=1)
        return context, ids, lengths, seed

    def __call__(self, **inputs):
        generator = self.model
        context, ids, lengths, seed = self._begin(inputs)
        tokens, scores, _ = generator.decode(
            context, ids, lengths, 0, generator.max_length, seed=seed
        )
        return {"tokens": tokens if "prompt" in inputs else tokens[:, 1:], "scores": scores}

    @property
    def generate_calls(self):
        return self.calls[: len(self.calls) - len(self.streams)]

    def compare(self, what, outputs):
        calls = self.generate_calls
        result = self._compare(what, calls, outputs[: len(calls)])
        if not self.streams:
            return result
        calls, streamed = [calls[number] for number in self.streams], outputs[len(calls) :]
        whole = [self._whole(*pair) for pair in zip(calls, streamed, strict=True)]
        steps = self._compare(f"{what}, token by token,", calls, whole)
        result["largest_difference"] = max(r["largest_difference"] for r in (result, steps))
        counts = ("inputs", "tokens", "tokens_equal", "near_ties")
        return {**result, **{name: result[name] + steps[name] for name in counts}}

    def _compare(self, what, calls, outputs):
        """Compare the outputs of the first calls with the model's own."""
        count = min(self.count, sum(map(_rows, calls)))
        tokens, scores = (
            np.concatenate([output[name] for output in outputs])[:count]
            for name in ("tokens", "scores")
        )
        inputs = {name: value[:count] for name, value in self.inputs.items()}
        prompt = None if self.prompt is None else self.prompt[:count]
        draws = None
        if self.draws:
            seeds = [call["seed"] for call in calls]
            draws = Draws(self.model.sampler, seeds, [_rows(call) for call in calls])
        arguments = self.model, inputs, prompt, tokens, scores, self.atol, draws
        return compare_tokens(what, *arguments, self.min_agreement)

    def _whole(self, call, streamed):
        """`tokens` and `scores` as `generate` gives them, of the tokens (B, n) of a stream."""
        given = np.zeros((_rows(call), 0), "int32")
        width = self.model.max_length
        if "prompt" in call:
            filled = call["prompt"] != self.model.pad_token
            given = call["prompt"][:, : filled.sum(axis=1).min()]
            width += call["prompt"].shape[1]
        tokens = np.concatenate([given, streamed["tokens"]], axis=1)
        missing = max(0, width - tokens.shape[1])  # none is cut off: too many are an error
        tokens = np.pad(tokens, ((0, 0), (0, missing)), constant_values=self.model.pad_token)
        return {**streamed, "tokens": tokens}

    def model_latency(self):
        calls = self.generate_calls
        fewest = min(map(_rows, calls))
        return generate_latency(self.model, [call for call in calls if _rows(call) == fewest][:20])


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

"""A generator as a function of token ids."""

import itertools
from typing import NamedTuple

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
from keras_seq.stepping._embeddings import positions

_FIRST_SEED = 2**40 + 1  # both words count
_STREAMED = 8  # calls that are also made token by token
_PREFILL = "prefill/"  # before the names of their inputs
_SHORTER = 8  # rows that are also given cut, where the width is open


class _Comparison(NamedTuple):
    """Rows that an artifact is compared on.

    Attributes:
        inputs: dict of context arrays, N rows each.
        prompt: (N, P), or `None`.
        calls: dicts of arrays that hold these rows one after the other; the last may repeat rows.
        streamed: whether the calls are made token by token.
    """

    inputs: dict
    prompt: np.ndarray | None
    calls: list
    streamed: bool = False

    @property
    def count(self):
        """N."""
        return len(next(iter(self.inputs.values())) if self.prompt is None else self.prompt)


class ExportedGenerator(ExportedFunction):
    """The generation loop: context, prompt and seed in, tokens and scores out.

    Args:
        model: a `keras_seq.generation.Generator`.
        shapes: dict from context input name to shape, open dimensions `None`; `None`: those of the
            model, with all that it leaves open.
        prompt_length: P, or `None` where the start token begins.
        batch_size: B, or `None`: open.
        inputs: context arrays to compare on, dict by name or one array; random ones if `None`.
        prompt: (N, P) prompts to compare on; random ones if `None`.
        atol: tolerance of scores.
        min_agreement: fraction of the tokens that must be equal; 1 where nothing is quantized.
        streaming: whether `prefill` and `step` stand beside `generate`, see `GeneratorSteps`.
    """

    signature = "generate"
    text_generator = None  # whose generator it is
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
        is_open = any(None in shape[1:] for shape in self.shapes.values())
        compared = widths(model, inputs) if is_open else self.shapes
        is_random = inputs is None and prompt is None
        inputs, prompt = comparison_inputs(model, compared, prompt_length, inputs, prompt)
        self._seeds = itertools.count(_FIRST_SEED)
        self.comparisons = [self._comparison(inputs, prompt)]
        if is_open:
            cut = {name: self._cut(name, value[:_SHORTER]) for name, value in inputs.items()}
            few = None if prompt is None else prompt[:_SHORTER]
            self.comparisons.append(self._comparison(cut, few))
            longest = {name: self._of_longest(name, shape) for name, shape in compared.items()}
            if is_random and longest != compared:
                pair = comparison_inputs(model, longest, prompt_length, None, None, count=2)
                self.comparisons.append(self._comparison(*pair))
        self.steps = None
        if streaming:
            examples = [comparison.calls[0] for comparison in self.comparisons]
            self.steps = GeneratorSteps(model, self._begin, examples)
            self.comparisons += list(map(_streamed, self.comparisons))
        self.calls = [call for comparison in self.comparisons for call in comparison.calls]

    def _comparison(self, inputs, prompt):
        arrays = dict(inputs) if prompt is None else {**inputs, "prompt": prompt}
        count, size = len(next(iter(arrays.values()))), self.batch_size
        if size is None:
            rows_of_each = rows_of_calls(count)
        else:
            begins = range(0, count, size)
            rows_of_each = [np.minimum(np.arange(i, i + size), count - 1) for i in begins]
        calls = [{name: value[rows] for name, value in arrays.items()} for rows in rows_of_each]
        if self.draws:
            for call in calls:
                call["seed"] = seed_words(next(self._seeds))
        return _Comparison(inputs, prompt, calls)

    def _cut(self, name, value):
        """The first half along the open dimensions."""
        sizes = zip(self.shapes[name], value.shape, strict=True)
        halves = [slice(max(1, n // 2) if d is None else n) for d, n in sizes]
        return value[(slice(None), *halves[1:])]

    @property
    def keras_model(self):
        return self.model.model

    def metadata(self):
        generator = self.model
        context = generator.stepper.context_inputs
        padding = {name: generator.source_padding(name) for name in context}
        longest = {name: self._longest(name) for name in context}
        metadata = {
            "format": 1,
            "kind": "generator",
            "start_token": generator.start_token,
            "end_tokens": list(map(int, generator.end_tokens)),
            "pad_token": generator.pad_token,
            "max_length": generator.max_length,
            "padding": {**padding, "prompt": generator.pad_token},
            "longest": {name: n for name, n in longest.items() if n is not None},
        }
        if self.texts is None:
            return metadata, {}
        source = {"source_input": self.text_generator.source_input}
        return {**metadata, **source, "tokenizers": self.texts.folders}, self.texts.files

    def _of_longest(self, name, shape):
        """A shape with the largest known length in open dimensions."""
        longest = self._longest(name)
        if longest is None:
            return shape
        pairs = zip(self.shapes[name][1:], shape[1:], strict=True)
        return (shape[0], *(longest if d is None else n for d, n in pairs))

    def _longest(self, name):
        """The largest length of a context input, or `None`."""
        known = [positions(self.model.model, name)]
        if self.text_generator is not None and name == self.text_generator.source_input:
            known.append(self.text_generator.source_length)
        return min((n for n in known if n is not None), default=None)

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

    def compare(self, what, outputs):
        results, outputs = [], iter(outputs)
        for comparison in self.comparisons:
            own = list(itertools.islice(outputs, len(comparison.calls)))
            how = ", token by token," if comparison.streamed else ""
            results.append(self._compare(what + how, comparison, own))
        counts = ("inputs", "tokens", "tokens_equal", "near_ties")
        return {
            **results[0],
            **{name: sum(result[name] for result in results) for name in counts},
            "largest_difference": max(result["largest_difference"] for result in results),
        }

    def _compare(self, what, comparison, outputs):
        inputs, prompt, calls, streamed = comparison
        count = comparison.count
        if streamed:
            calls = [_without_prefix(call) for call in calls]
            outputs = [self._whole(*pair) for pair in zip(calls, outputs, strict=True)]
        tokens, scores = (
            np.concatenate([output[name] for output in outputs])[:count]
            for name in ("tokens", "scores")
        )
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

    def both_outputs(self, outputs):
        comparison = self.comparisons[0]
        own = [{"tokens": _generated(self.model, call)} for call in comparison.calls]
        return self._texts_of(own), self._texts_of(outputs[: len(own)])

    def _texts_of(self, outputs):
        """What a metric gets: tokens, or the texts of a text generator."""
        comparison = self.comparisons[0]
        rows = [row for output in outputs for row in output["tokens"]][: comparison.count]
        width = max(map(len, rows))
        pad = self.model.pad_token
        tokens = np.stack([np.pad(r, (0, width - len(r)), constant_values=pad) for r in rows])
        if self.text_generator is None:
            return {"tokens": tokens}
        prompt = comparison.prompt
        starts = None if prompt is None else (prompt != pad).sum(axis=1)
        return {"text": self.text_generator.detokenize(tokens, starts)}

    def model_latency(self):
        calls = self.comparisons[0].calls
        fewest = min(map(_rows, calls))
        return generate_latency(self.model, [call for call in calls if _rows(call) == fewest][:20])


def _rows(call):
    return next(len(array) for name, array in call.items() if name != "seed")


def _streamed(comparison):
    """The first calls of a comparison, to be made token by token."""
    calls = comparison.calls[:_STREAMED]
    count = sum(map(_rows, calls))
    return _Comparison(
        {name: value[:count] for name, value in comparison.inputs.items()},
        None if comparison.prompt is None else comparison.prompt[:count],
        [{_PREFILL + name: value for name, value in call.items()} for call in calls],
        streamed=True,
    )


def _without_prefix(call):
    return {name.removeprefix(_PREFILL): value for name, value in call.items()}


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
    return median_milliseconds(lambda call: _generated(generator, call), calls)


def _generated(generator, call):
    """Tokens of `Generator.generate` for a call of an artifact."""
    context = {name: x for name, x in call.items() if name not in ("prompt", "seed")}
    seed = seed_of_words(call["seed"]) if "seed" in call else None
    generated = generator.generate(context or None, call.get("prompt"), seed=seed)
    return ops.convert_to_numpy(generated.tokens)

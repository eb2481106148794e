"""`Generator`: the loop that turns a stepped model into sequences."""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_seq.generation.checks import check_ids, padded_prompt
from keras_seq.generation.compiled import compiled
from keras_seq.generation.graph import vocabulary_size
from keras_seq.generation.samplers import get_sampler
from keras_seq.generation.stepper import Stepper
from keras_seq.layers.arguments import check_positive
from keras_seq.layers.attention_cache import indices


class Generated(NamedTuple):
    """What `Generator.generate` returns.

    Attributes:
        tokens: (B, N) int32 ids. With a start token: the tokens after it. With a prompt: the prompt
            and the tokens after it. A row goes up to its end token, then padding.
        scores: (B,) float32, natural logarithm of the probability of each row's new tokens, the
            end token included.
        steps: int32 scalar, how many times the model ran.
    """

    tokens: Any
    scores: Any
    steps: Any


class Generator:
    r"""Generates sequences from any causal functional model, one token after another.

        x_t ~ sampler(p(x_t | x_1, ..., x_{t-1}, context))

    The model is stepped (see `Stepper`), so each token costs one step and no past is computed
    twice. The whole loop is one compiled function: with XLA by default on TensorFlow and JAX,
    traced once for each set of shapes, and it ends when every row has met an end token.

    Args:
        model: causal functional `keras.Model` whose output are logits (B, T, V).
        max_length: the largest number of new tokens.
        start_token: id that begins every sequence; needed where no prompt is given.
        end_token: id, or list of ids, that ends a sequence. `None`: always `max_length` tokens.
        pad_token: id that fills rows after their end, and prompts on the right.
        sampler: `"greedy"` or a sampler object.
        target: name of the model's target input, see `Stepper`.
        jit_compile: whether to compile with XLA.

    Raises:
        TypeError, ValueError: as `Stepper` for a model that cannot be stepped; ValueError for token
            ids outside the model's vocabulary and lengths below 1.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq

    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(50, 16)(tokens)
    x = keras_seq.layers.LSTM(16, return_sequences=True)(x)
    model = keras.Model(tokens, keras.layers.Dense(50)(x))

    generator = keras_seq.generation.Generator(model, max_length=8, end_token=3)
    out = generator.generate(prompt=[[5, 6, 7], [8]])
    print(out.tokens.shape)  # (2, 11): prompts and new tokens
    ```
    """

    def __init__(
        self,
        model,
        max_length,
        start_token=None,
        end_token=None,
        pad_token=0,
        sampler="greedy",
        target=None,
        jit_compile=True,
    ):
        check_positive("Generator", max_length=max_length)
        self.model = model
        self.stepper = Stepper(model, target=target)
        self._check_model()
        self.vocabulary_size = self.stepper.graph.outputs[0].shape[-1]
        # Tokens that are fed must be known to the embedding, tokens that are chosen to the output.
        self.input_size = vocabulary_size(model, self.stepper.target) or self.vocabulary_size
        if self.vocabulary_size > self.input_size:
            raise ValueError(
                f"`model` of Generator gives logits of {self.vocabulary_size} tokens and its "
                f"target input knows {self.input_size}, so it could not read what it writes."
            )
        self.max_length = max_length
        self.start_token = start_token
        end_tokens = [] if end_token is None else end_token
        self.end_tokens = list(end_tokens) if np.ndim(end_tokens) else [end_tokens]
        self.pad_token = pad_token
        self._check_token("start_token", start_token, self.input_size)
        self._check_token("pad_token", pad_token, self.input_size)
        for token in self.end_tokens:
            self._check_token("end_token", token, self.vocabulary_size)
        self.sampler = get_sampler(sampler)
        self.jit_compile = jit_compile
        self.trace_count = 0
        self._functions = {}

    def _check_model(self):
        outputs = self.stepper.graph.outputs
        if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].shape[-1] is None:
            shapes = [tuple(t.shape) for t in outputs]
            raise ValueError(
                f"`model` of Generator must have one output of logits (B, T, V). Received: {shapes}"
            )
        target = self.stepper.graph.inputs[self.stepper.target]
        if len(target.shape) != 2 or not keras.backend.is_int_dtype(target.dtype):
            raise ValueError(
                f"The target input `{self.stepper.target}` of the Generator's model must hold int "
                f"token ids (B, T). Received: {target.dtype} of shape {tuple(target.shape)}"
            )

    def _check_token(self, name, token, limit):
        if token is None:
            return
        if isinstance(token, bool) or not isinstance(token, (int, np.integer)):
            raise ValueError(f"`{name}` of Generator must be an int id. Received: {token!r}")
        if not 0 <= token < limit:
            raise ValueError(
                f"`{name}` of Generator must be in [0, {limit}), the model's vocabulary. "
                f"Received: {token}"
            )

    def generate(self, inputs=None, prompt=None, max_length=None):
        """Generate.

        Args:
            inputs: the model's context, a dict from input name to array, or the array alone where
                there is one context input: (B, S) source ids, say. `None` where there is none.
            prompt: (B, P) int ids to go on from, padded on the right where rows differ, or a list
                of lists of ids. `None` begins every row with `start_token`.
            max_length: the largest number of new tokens; the generator's own if `None`.

        Returns:
            `Generated(tokens, scores, steps)`.

        Raises:
            ValueError: for ids outside the vocabulary, an empty prompt, inputs that are missing or
                of unequal batch sizes.
        """
        max_length = self.max_length if max_length is None else max_length
        check_positive("generate", max_length=max_length)
        inputs = self._checked_inputs(inputs)
        started = prompt is None
        prompt, lengths = self._checked_prompt(prompt, inputs)
        shortest = int(lengths.min())
        # The shortest prompt's tokens, but for the last, are read at once; a power of two of them,
        # so that prompts of many lengths share a few compiled functions.
        prefill = 0 if shortest < 2 else 1 << ((shortest - 1).bit_length() - 1)
        tokens, scores, steps = self._function(prefill, max_length)(inputs, prompt, lengths)
        return Generated(tokens[:, 1:] if started else tokens, scores, steps)

    def _function(self, prefill, max_length):
        key = (prefill, max_length)
        if key not in self._functions:

            def function(inputs, prompt, lengths):
                self.trace_count += 1
                return self.decode(inputs, prompt, lengths, prefill, max_length)

            self._functions[key] = compiled(function, self.model, self.jit_compile)
        return self._functions[key]

    def decode(self, inputs, prompt, lengths, prefill, max_length):
        """The loop itself, in `keras.ops`, to be traced into a compiled function or an export.

        Args:
            inputs: dict of context tensors.
            prompt: (B, P) int32 ids, padded on the right.
            lengths: (B,) int32, the number of prompt ids of each row, at least 1.
            prefill: static int, how many prompt ids to read at once: less than every length.
            max_length: static int N, the largest number of new tokens.

        Returns:
            `(tokens, scores, steps)`: (B, P + N) int32 prompt and new tokens, (B,) float32, scalar.
        """
        batch, width = ops.shape(prompt)[0], prompt.shape[1]
        total = width + max_length
        # The last token is chosen and never read.
        state = self.stepper.initial_state(inputs, batch_size=batch, max_length=total - 1)
        if prefill:
            _, state = self.stepper.prefill(prompt[:, :prefill], state)
        context = state["context"]  # the loop reads it and does not change it
        padding = ops.full((batch, max_length), self.pad_token, dtype="int32")
        tokens = ops.concatenate([ops.cast(prompt, "int32"), padding], axis=1)
        lengths = ops.cast(lengths, "int32")

        def unfinished(i, tokens, scores, finished, layers):
            return ops.logical_and(i < total, ops.logical_not(ops.all(finished)))

        def turn(i, tokens, scores, finished, layers):
            last = ops.slice(tokens, indices(0, i - 1), (batch, 1))
            logits, state = self.stepper.step(last, {"context": context, "layers": layers})
            (logits,) = keras.tree.flatten(logits)
            logits = ops.cast(ops.squeeze(logits, 1), "float32")  # (B, V)
            token, score = self.sampler(ops.log_softmax(logits, axis=-1))
            # A row whose prompt goes on takes the prompt's own token.
            own = ops.squeeze(ops.slice(tokens, indices(0, i), (batch, 1)), 1)
            in_prompt = i < lengths
            silent = ops.logical_or(in_prompt, finished)
            token = ops.where(finished, ops.full_like(token, self.pad_token), token)
            token = ops.where(in_prompt, own, token)
            scores = scores + ops.where(silent, ops.zeros_like(score), score)
            ended = i + 1 - lengths >= max_length
            for end in self.end_tokens:
                ended = ops.logical_or(ended, ops.equal(token, end))
            finished = ops.logical_or(finished, ops.logical_and(ended, ops.logical_not(in_prompt)))
            tokens = ops.slice_update(tokens, indices(0, i), ops.expand_dims(token, 1))
            return i + 1, tokens, scores, finished, state["layers"]

        start = prefill + 1
        zeros = ops.zeros((batch,), dtype="float32")
        finished = ops.zeros((batch,), dtype="bool")
        loop = (ops.convert_to_tensor(start, "int32"), tokens, zeros, finished, state["layers"])
        i, tokens, scores, _, _ = ops.while_loop(unfinished, turn, loop)
        return tokens, scores, i - start

    def _checked_inputs(self, inputs):
        if inputs is None and not self.stepper.context_inputs:
            return {}
        checked, sizes = {}, {}
        for name, value in self.stepper.named_context(inputs).items():
            value = ops.convert_to_numpy(value)
            symbolic = self.stepper.graph.inputs[name]
            if value.ndim != len(symbolic.shape):
                raise ValueError(
                    f"`inputs[{name!r}]` must have shape {tuple(symbolic.shape)}. "
                    f"Received: {value.shape}"
                )
            if symbolic.dtype.startswith(("int", "uint")):
                check_ids(f"inputs[{name!r}]", value, vocabulary_size(self.model, name))
            checked[name] = value.astype(symbolic.dtype)
            sizes[name] = value.shape[0]
        if len(set(sizes.values())) > 1:
            raise ValueError(f"`inputs` must have one batch size. Received: {sizes}")
        return checked

    def _checked_prompt(self, prompt, inputs):
        batch = next((v.shape[0] for v in inputs.values()), None)
        if prompt is None:
            if self.start_token is None:
                raise ValueError(
                    "`prompt` must be given, or the Generator built with a `start_token`."
                )
            prompt = np.full((batch or 1, 1), self.start_token, "int32")
            return prompt, np.ones(len(prompt), "int32")
        prompt, lengths = padded_prompt(prompt, self.pad_token, self.input_size)
        if batch is not None and batch != len(prompt):
            raise ValueError(
                f"`prompt` has {len(prompt)} rows and `inputs` have {batch}; they must be equal."
            )
        return prompt, lengths

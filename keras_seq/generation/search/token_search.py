"""`TokenSearch`: token by token, for samplers that look at one step."""

import keras
from keras import ops

from keras_seq.generation._rows import any_equal, column, entry
from keras_seq.generation.logits_processors._token_masks import no_candidates
from keras_seq.generation.search.search_strategy import SearchStrategy
from keras_seq.layers.attention._cache import indices


class TokenSearch(SearchStrategy):
    """Chooses each token with a `Sampler` and goes on from it, until every row has ended.

    Args:
        sampler: see `Sampler`.
    """

    supports_stream = True

    def __init__(self, sampler):
        self.sampler = sampler
        self.needs_seed = bool(getattr(sampler, "needs_seed", False))
        # Without `needs_seed` the attribute may be anything, such as a generator of Keras.
        self.seed = getattr(sampler, "seed", None) if self.needs_seed else None

    def search(self, generator, start):
        end = start.tokens.shape[1]
        if start.given_lengths is None:  # all rows begin here; there may be more room than asked
            end = start.position + start.max_length

        def unfinished(i, tokens, scores, finished, layers):
            return ops.logical_and(i < end, ops.logical_not(ops.all(finished)))

        def body(*variables):
            return self.advance(generator, start, variables)

        i, tokens, scores, _, _ = ops.while_loop(unfinished, body, self.begin(start))
        return tokens, scores, i - start.position

    def begin(self, start):
        """Place, tokens, scores, which rows have finished, the layers' states."""
        batch = ops.shape(start.tokens)[0]
        return (
            ops.convert_to_tensor(start.position, "int32"),
            start.tokens,
            ops.zeros((batch,), dtype="float32"),
            ops.zeros((batch,), dtype="bool"),
            start.state["layers"],
        )

    def advance(self, generator, start, variables):
        i, tokens, scores, finished, layers = variables
        processors, given = generator.logits_processors, start.given_lengths
        last = ops.expand_dims(column(tokens, i - 1), 1)
        state = {"context": start.state["context"], "layers": layers}
        logits, state = generator.stepper.step(last, state)
        (logits,) = keras.tree.flatten(logits)
        logits = ops.cast(ops.squeeze(logits, 1), "float32")  # (B, V)
        log_probabilities = allowed = ops.log_softmax(logits, axis=-1)
        if processors:
            allowed = processors(logits, tokens, i, start.prompt_lengths)
            ends_here = no_candidates(allowed)
            if given is not None:
                ends_here = ops.logical_and(ends_here, i >= given)
            finished = ops.logical_or(finished, ends_here)
            allowed = ops.log_softmax(allowed, axis=-1)
        token, score = self._choose(allowed, start.seed, i)
        unscored = finished
        if given is not None:  # a row whose prompt or prefix goes on takes its own token
            token = ops.where(i < given, column(tokens, i), token)
            unscored = ops.logical_or(finished, i < start.prompt_lengths)
        if processors or given is not None:
            score = entry(log_probabilities, ops.minimum(token, log_probabilities.shape[-1] - 1))
        scores = scores + ops.where(unscored, ops.zeros_like(score), score)
        token = ops.where(finished, ops.full_like(token, generator.pad_token), token)
        ends = any_equal(token, generator.end_tokens) if generator.end_tokens else None
        if given is not None:
            # Rows of shorter prompts are full earlier; an end token inside a prompt ends nothing.
            full = i + 1 - start.prompt_lengths >= start.max_length
            ends = full if ends is None else ops.logical_or(ends, full)
            ends = ops.logical_and(ends, i >= start.prompt_lengths)
        if ends is not None:
            finished = ops.logical_or(finished, ends)
        tokens = ops.slice_update(tokens, indices(0, i), ops.expand_dims(token, 1))
        return i + 1, tokens, scores, finished, state["layers"]

    def _choose(self, log_probabilities, seed, i):
        """`(tokens, scores)` of the sampler, checked, int32 and float32."""
        step_seed = () if seed is None else (ops.concatenate([seed, ops.reshape(i, (1,))]),)
        chosen = self.sampler(log_probabilities, *step_seed)
        pair = isinstance(chosen, (tuple, list)) and len(chosen) == 2
        shapes = [tuple(ops.convert_to_tensor(x).shape) for x in chosen] if pair else []
        if not pair or any(len(shape) != 1 for shape in shapes):
            name = getattr(self.sampler, "__name__", type(self.sampler).__name__)
            received = f"shapes {shapes}" if pair else type(chosen).__name__
            raise ValueError(
                f"`sampler` {name} must return (tokens, scores), (B,) ids and their (B,) "
                f"log-probabilities. Received: {received}"
            )
        return ops.cast(chosen[0], "int32"), ops.cast(chosen[1], "float32")

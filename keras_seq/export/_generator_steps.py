"""A generator as two functions that a client calls token by token: `prefill` and `step`."""

import keras
from keras import ops

from keras_seq.generation._rows import column
from keras_seq.generation._streaming import stream_functions

STATE = "state_"


class GeneratorSteps:
    """The loop of `generate`, opened: a client calls `prefill` once and `step` for each next token.

        prefill(context, prompt, seed)  ->  token, scores, finished, state_0, state_1, ...
        step(state_0, state_1, ...)     ->  token, scores, finished, those states that change

    `token` (B,) int32 stands at the next place: first that after the shortest prompt, and rows
    whose prompt goes on give its tokens. `scores` (B,) float32 are the sums so far. `finished` (B,)
    booleans are true where a row has ended; at the full length all are.

    Args:
        generator: the `Generator`.
        begin: function of the inputs by name that gives `(context, ids, lengths, seed)`.
        examples: dicts of arrays, inputs of `prefill`, which differ where dimensions are open.

    Raises:
        ValueError: if no token of the search is final before its end.
    """

    def __init__(self, generator, begin, examples):
        if not getattr(generator.strategy, "supports_stream", False):
            raise ValueError(
                "`streaming=True` is not for a generator with "
                f"{type(generator.sampler).__name__}, with which no token is final before the end."
            )
        self.generator, self.begin = generator, begin
        _, ids, *_ = begin(examples[0])
        self._start, self._advance = stream_functions(
            generator, 0, generator.max_length, prompted=ids.shape[1] > 1
        )
        states = [self._first_state(example) for example in examples]
        self.structure = keras.tree.map_structure(lambda _: 0, states[0])
        leaves = zip(*map(keras.tree.flatten, states), strict=True)
        self.specs = {f"{STATE}{i}": _spec(each) for i, each in enumerate(leaves)}

    def prefill(self, **inputs):
        fixed, variables = self._read_prompts(*self._first_state(inputs))
        fixed_states = self._named(keras.tree.flatten(fixed))
        return {**fixed_states, **self._step(fixed, variables)}

    def step(self, **states):
        leaves = [states[name] for name in self.specs]
        return self._step(*keras.tree.pack_sequence_as(self.structure, leaves))

    def _first_state(self, inputs):
        """`(fixed, variables)` before anything is read: what stays, and what each step changes."""
        context, ids, lengths, seed = self.begin(inputs)
        fixed, variables = self._start(context, ids, lengths, None, None)
        return (fixed if seed is None else {**fixed, "seed": seed}), variables

    def _read_prompts(self, fixed, variables):
        """All rows read up to the last token but one of the shortest prompt."""
        i, tokens, scores, finished, layers = variables
        if "given" not in fixed:
            return fixed, variables
        shortest = ops.min(fixed["lengths"])

        def read(i, layers):
            state = {"context": fixed["context"], "layers": layers}
            _, state = self.generator.stepper.step(column(tokens, i - 1)[:, None], state)
            return i + 1, state["layers"]

        i, layers = ops.while_loop(lambda i, layers: i < shortest, read, (i, layers))
        return fixed, (i, tokens, scores, finished, layers)

    def _step(self, fixed, variables):
        token, variables = self._advance(fixed, fixed.get("seed"), variables)
        i, tokens, scores, finished, _ = variables
        leaves = keras.tree.flatten(variables)
        return {
            "token": token,
            "scores": scores,
            "finished": ops.logical_or(finished, i >= tokens.shape[1]),
            **self._named(leaves, first=len(self.specs) - len(leaves)),
        }

    def _named(self, leaves, first=0):
        return {f"{STATE}{first + i}": leaf for i, leaf in enumerate(leaves)}


def _spec(leaves):
    """`(shape, dtype)` of a state, from examples of it; dimensions that differ are open."""
    leaves = [ops.convert_to_tensor(leaf) for leaf in leaves]
    shapes = zip(*(leaf.shape for leaf in leaves), strict=True)
    shape = tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in shapes)
    return shape, keras.backend.standardize_dtype(leaves[0].dtype)

"""A generator's search with the model's own call in place of each step: slow, and without state."""

import copy

from keras import ops

from keras_seq.export._model_call import compiled_graph, unchanged_state
from keras_seq.layers.attention._cache import indices


class UncachedStepper:
    """Has the interface of `Stepper`, and calls the whole model for every step.

    The only state are the tokens so far, so that nothing that a layer's `step` does can matter.

    Args:
        call: `ModelCall`.
        target: name of the target input.
        pad_token: fills the tokens that are not known yet; the model is causal.
        time: T, the target steps of a call.
    """

    def __init__(self, call, target, pad_token, time):
        self.call, self.target, self.pad_token, self.time = call, target, pad_token, time

    def get_initial_state(self, batch_size, max_length, inputs):
        tokens = ops.full((batch_size, self.time), self.pad_token, dtype="int32")
        return {"context": inputs, "layers": {"tokens": tokens, "position": ops.zeros((), "int32")}}

    def step(self, x, state):
        """`(logits, state)` after the next tokens, (B, 1) int32; logits are (B, 1, V)."""
        position = state["layers"]["position"]
        tokens = ops.slice_update(state["layers"]["tokens"], indices(0, position), x)
        (logits,) = self.call({**state["context"], self.target: tokens})
        shape = (logits.shape[0], 1, logits.shape[2])
        logits = ops.slice(logits, indices(0, position, 0), shape)
        layers = {"tokens": tokens, "position": position + 1}
        return logits, {"context": state["context"], "layers": layers}


def uncached_search(generator, call, time):
    """A function that searches for a batch, (inputs, prompt, lengths) to `(tokens, scores)`.

    Args:
        generator: the `Generator`.
        call: `ModelCall` of its model.
        time: T of a call.
    """
    uncached = copy.copy(generator)
    uncached.stepper = UncachedStepper(call, generator.stepper.target, generator.pad_token, time)

    def search(inputs, prompt, lengths):
        return uncached.decode(inputs, prompt, lengths, 0, generator.max_length)[:2]

    compiled = compiled_graph(search)

    def run(inputs, prompt, lengths):
        with unchanged_state(call.stateful):
            return [ops.convert_to_numpy(y) for y in compiled(inputs, prompt, lengths)]

    return run

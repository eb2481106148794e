"""The compiled functions of a `Generator`, made when they are first called for."""

import collections
import warnings

import keras

from keras_seq.generation._compiled import compiled
from keras_seq.generation._scoring import scored
from keras_seq.generation._streaming import stream_functions
from keras_seq.layers.attention._hoisted_kernels import hoisted_kernels
from keras_seq.stepping._fingerprint import ModelFingerprint

CAPACITY = 32


class CompiledFunctions:
    """A function for each kind of work, its static arguments and the shapes of the others.

    They are made anew when the model has changed. New values of the weights need no new function,
    but new variables (`enable_lora`, `quantize`) and reassigned activations do, see
    `ModelFingerprint`.

    Memory is bounded: the `CAPACITY` that were used last are kept. What XLA has compiled for
    TensorFlow stays in memory until the process ends, so there the first `CAPACITY` are kept, and
    further ones run as plain graphs, of which the last are kept in turn.

    Args:
        generator: the `Generator`.
    """

    def __init__(self, generator):
        self.generator = generator
        self._permanent, self._recent = {}, collections.OrderedDict()
        self._fingerprint = None

    def get(self, kind, static, arguments):
        """The compiled function, or functions, of a kind of work.

        Args:
            kind: `"generate"`, `"stream"` or `"score"`.
            static: tuple, what the kind's function is made with.
            arguments: nest of arrays, what the function will be called with.
        """
        fingerprint = ModelFingerprint(self.generator.model)
        if fingerprint != self._fingerprint:
            self._permanent.clear()
            self._recent.clear()
            self._fingerprint = fingerprint
        leaves = keras.tree.flatten(arguments)
        key = (kind, *static, *(None if x is None else x.shape for x in leaves))
        if key in self._permanent:
            return self._permanent[key]
        if key not in self._recent:
            make = {"generate": self._generate, "stream": self._stream, "score": self._score}
            functions, jit_compile = self._place()
            functions[key] = [
                compiled(function, self.generator.model, jit_compile)
                for function in make[kind](*static)
            ]
            if functions is self._permanent:
                return functions[key]
        self._recent.move_to_end(key)
        while len(self._recent) > CAPACITY:
            self._recent.popitem(last=False)
        return self._recent[key]

    def _place(self):
        """Where to put a new function, and whether to compile it with XLA."""
        jit_compile = self.generator.jit_compile
        if not jit_compile or keras.backend.backend() != "tensorflow":
            return self._recent, jit_compile
        if len(self._permanent) < CAPACITY:
            return self._permanent, True
        if not self._recent:
            warnings.warn(
                f"A Generator was called with arguments of more than {CAPACITY} shapes. TensorFlow "
                "never frees what XLA has compiled, so further shapes run without XLA, which is "
                "slower. Use fewer batch sizes, or another Generator.",
                stacklevel=4,
            )
        return self._recent, False

    def _generate(self, prefill, max_length, prompted):
        generator = self.generator

        def generate(inputs, prompt, lengths, given, limit, seed):
            generator.trace_count += 1
            with hoisted_kernels():
                return generator.decode(
                    inputs, prompt, lengths, prefill, max_length, given, seed, limit
                )

        return [generate]

    def _stream(self, *static):
        return stream_functions(self.generator, *static)

    def _score(self):
        generator = self.generator

        def score(inputs, tokens, first, valid):
            generator.trace_count += 1
            return scored(generator.stepper, inputs, tokens, first, valid)

        return [score]

"""The compiled functions of a `Generator`, made when they are first called for."""

from keras_seq.generation._compiled import compiled
from keras_seq.generation._scoring import scored
from keras_seq.generation._streaming import stream_functions
from keras_seq.layers.attention._hoisted_kernels import hoisted_kernels
from keras_seq.stepping._fingerprint import ModelFingerprint


class CompiledFunctions:
    """Functions by kind and static arguments; they are made anew when the model has changed.

    New values of the weights need no new function, but new variables (`enable_lora`, `quantize`)
    and reassigned activations do, see `ModelFingerprint`.

    Args:
        generator: the `Generator`.
    """

    def __init__(self, generator):
        self.generator = generator
        self._functions = {}
        self._fingerprint = None

    def get(self, kind, *static):
        """The compiled function, or functions, of a kind of work and its static arguments.

        Args:
            kind: `"generate"`, `"stream"` or `"score"`.
            static: what the kind's function is made with.
        """
        fingerprint = ModelFingerprint(self.generator.model)
        if fingerprint != self._fingerprint:
            self._functions.clear()
            self._fingerprint = fingerprint
        key = (kind, *static)
        if key not in self._functions:
            make = {"generate": self._generate, "stream": self._stream, "score": self._score}
            self._functions[key] = make[kind](*static)
        return self._functions[key]

    def _compiled(self, function):
        return compiled(function, self.generator.model, self.generator.jit_compile)

    def _generate(self, prefill, max_length, prompted):
        generator = self.generator

        def generate(inputs, prompt, lengths, given, seed):
            generator.trace_count += 1
            with hoisted_kernels():
                return generator.decode(inputs, prompt, lengths, prefill, max_length, given, seed)

        return self._compiled(generate)

    def _stream(self, *static):
        return [self._compiled(f) for f in stream_functions(self.generator, *static)]

    def _score(self):
        generator = self.generator

        def score(inputs, tokens, first, valid):
            generator.trace_count += 1
            return scored(generator.stepper, inputs, tokens, first, valid)

        return self._compiled(score)

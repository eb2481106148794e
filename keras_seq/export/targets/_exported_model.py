"""A functional model as a function of named tensors, which an exported file must agree with."""

import time as clock

import keras
import numpy as np

from keras_seq.export.report import ExportError
from keras_seq.generation._checks import check_ids
from keras_seq.stepping._keras_private import functional_of, graph_outputs
from keras_seq.stepping._target_graph import input_names, vocabulary_size
from keras_seq.stepping.stepper import Stepper

_LENGTHS = (13, 5)  # compared where the file leaves the time open; streamed, widths of the chunks


class ExportedModel:
    """What is exported: a function of named tensors, and how it is compared with the model."""

    def __init__(self, model, time, batch_size, streaming, max_length):
        self.model, self.streaming = model, streaming
        self.time, self.batch_size, self.max_length = time, batch_size, max_length
        functional = functional_of(model)
        self.names = input_names(functional)
        self.symbolic = dict(zip(self.names, functional.inputs, strict=True))
        self.output_names = _output_names(model)
        self.shapes = {
            name: (_fixed(name, t.shape[0], batch_size), *(n or time for n in t.shape[1:]))
            for name, t in self.symbolic.items()
        }
        self.signature = "step" if streaming else "serve"
        if streaming:
            self._prepare_states()

    def _prepare_states(self):
        if len(self.names) != 1:
            raise ValueError(
                "`streaming=True` of model_to_litert needs a model with one input. Received: "
                f"{self.names}. Export a generator with keras_seq.export.to_litert."
            )
        self.stepper = Stepper(self.model)
        first, second = (self._initial_state(rows) for rows in (2, 3))
        fixed = self._initial_state(self.shapes[self.names[0]][0] or 2)
        if any(np.any(s) for s in fixed):
            raise ValueError(
                "`streaming=True` of model_to_litert needs states that begin with zeros. "
                "Received a model in which a layer starts from another state; export it with "
                "`streaming=False`."
            )
        open_batch = self.shapes[self.names[0]][0] is None
        self.states = {
            f"state_{i}": (
                tuple(None if open_batch and n != m else k for n, m, k in zip(*dims, strict=True)),
                fixed[i].dtype.name,
            )
            for i, dims in enumerate(
                zip(*([s.shape for s in part] for part in (first, second, fixed)), strict=True)
            )
        }
        clash = set(self.states) & {*self.names, *self.output_names}
        if clash:
            raise ValueError(
                "Inputs and outputs of a model exported with `streaming=True` must not be named "
                f"as states are. Received: {sorted(clash)}. Name them otherwise."
            )

    def _initial_state(self, rows):
        state = self.stepper.get_initial_state(batch_size=rows, max_length=self.max_length)
        self.state_structure = state
        return [np.asarray(keras.ops.convert_to_numpy(s)) for s in keras.tree.flatten(state)]

    def specs(self):
        """Shapes and types of the signature's inputs, by name."""
        specs = {name: (shape, self.symbolic[name].dtype) for name, shape in self.shapes.items()}
        return {**specs, **self.states} if self.streaming else specs

    def __call__(self, **arguments):
        if not self.streaming:
            outputs = keras.tree.flatten(self._model(arguments))
            return dict(zip(self.output_names, outputs, strict=True))
        state = [arguments[name] for name in self.states]
        state = keras.tree.pack_sequence_as(self.state_structure, state)
        y, state = self.stepper.prefill(arguments[self.names[0]], state)
        outputs = dict(zip(self.output_names, keras.tree.flatten(y), strict=True))
        return {**outputs, **dict(zip(self.states, keras.tree.flatten(state), strict=True))}

    def _model(self, arrays):
        flat = [keras.ops.convert_to_tensor(arrays[name]) for name in self.names]
        structure = functional_of(self.model)._inputs_struct
        return self.model(keras.tree.pack_sequence_as(structure, flat), training=False)

    def calls(self, inputs):
        """What the file is called with, and what the model is, both lists of dicts of arrays.

        They are the same but for a stream: there the calls are the chunks of one call.
        """
        if inputs is not None:
            whole = self._split_rows(self._checked(inputs))
        elif self.streaming:
            width = self.time and 3 * self.time
            chunks = [self._random(i, width or sum(_LENGTHS)) for i in range(2)]
            whole = [{n: a[:, : self.max_length] for n, a in chunk.items()} for chunk in chunks]
        else:
            open_time = any(None in shape[1:] for shape in self.shapes.values())
            lengths = _LENGTHS if open_time else (self.time,) * 2
            whole = [self._random(i, length) for i, length in enumerate(lengths)]
        if not self.streaming:
            return whole, whole
        calls = []
        for sequence in whole:
            (name, array), begin = next(iter(sequence.items())), 0
            zeros = {
                state: np.zeros([len(array) if n is None else n for n in shape], dtype)
                for state, (shape, dtype) in self.states.items()
            }
            for i, width in enumerate(self._widths(array.shape[1])):
                chunk = {name: array[:, begin : begin + width]}
                calls.append({**zeros, **chunk} if i == 0 else chunk)
                begin += width
        return calls, whole

    def _widths(self, length):
        """Widths of the chunks of a sequence: open ones differ, a single step is among them."""
        width = self.shapes[self.names[0]][1]
        if width is not None:
            return [width] * (length // width)
        return [n for n in (min(_LENGTHS[1], length - 1), 1) if n > 0] + (
            [length - _LENGTHS[1] - 1] if length > _LENGTHS[1] + 1 else []
        )

    def _random(self, seed, length):
        rng, arrays = np.random.default_rng(seed), {}
        for name, shape in self.shapes.items():
            shape = [seed + 1 if shape[0] is None else shape[0], *shape[1:]]
            shape[1:] = [length if n is None else n for n in shape[1:]]
            if self.streaming:
                shape[1] = length
            dtype = self.symbolic[name].dtype
            if keras.backend.is_int_dtype(dtype):
                limit = vocabulary_size(self.model, name) or 2
                arrays[name] = rng.integers(1 if limit > 1 else 0, limit, size=shape).astype(dtype)
                if len(shape) == 2 and shape[1] > 2 and not self.streaming:
                    arrays[name][-1, -2:] = 0  # padding, by custom
            elif dtype == "bool":  # masks and resets
                arrays[name] = rng.random(size=shape) < 0.5
            else:
                arrays[name] = rng.normal(size=shape).astype(dtype)
        return arrays

    def _checked(self, inputs):
        if not isinstance(inputs, dict):
            inputs = {self.names[0]: inputs} if len(self.names) == 1 else {}
        if set(inputs) != set(self.names):
            raise ValueError(
                f"`inputs` of model_to_litert must hold the model's inputs {self.names} by name. "
                f"Received: {sorted(inputs)}"
            )
        arrays = {}
        for name, shape in self.shapes.items():
            array = np.asarray(keras.ops.convert_to_numpy(inputs[name]))
            fits = array.ndim == len(shape) and len(array)
            whole_chunks = self.streaming and shape[1] and fits and array.shape[1] % shape[1] == 0
            for axis, n in enumerate(shape[1:] if fits else (), 1):
                fits = fits and (n in (None, array.shape[axis]) or (axis == 1 and whole_chunks))
            if not fits or (shape[0] and len(array) % shape[0]):
                raise ValueError(
                    f"`inputs` of model_to_litert: `{name}` must fit the exported shape {shape}, "
                    f"in whole batches and chunks. Received: {array.shape}"
                )
            if keras.backend.is_int_dtype(self.symbolic[name].dtype):
                check_ids(name, array, vocabulary_size(self.model, name))
            arrays[name] = array.astype(self.symbolic[name].dtype)
        return arrays

    def _split_rows(self, arrays):
        count = len(next(iter(arrays.values())))
        if any(len(a) != count for a in arrays.values()):
            shapes = {name: a.shape for name, a in arrays.items()}
            raise ValueError(
                f"`inputs` of model_to_litert must have equal rows. Received: {shapes}"
            )
        size = next(iter(self.shapes.values()))[0] or count
        return [{n: a[i : i + size] for n, a in arrays.items()} for i in range(0, count, size)]

    def compare(self, got, count, whole, atol):
        """Largest difference of the file's outputs from the model's, and how many were compared."""
        expected = [keras.tree.flatten(self._model(arrays)) for arrays in whole]
        largest, values, each = 0.0, 0, count // len(whole)
        for row, outputs in enumerate(expected):
            for name, want in zip(self.output_names, outputs, strict=True):
                want = keras.ops.convert_to_numpy(want)
                parts = [got[f"{i}:{name}"] for i in range(row * each, (row + 1) * each)]
                have = np.concatenate(parts, axis=1) if self.streaming else parts[0]
                if have.shape != want.shape:
                    raise ExportError(
                        f"The LiteRT file does not agree with the Keras model: `{name}` has shape "
                        f"{have.shape}, the model's {want.shape}."
                    )
                scale = max(1.0, float(np.max(np.abs(want), initial=0)))
                difference = float(np.max(np.abs(have - want.astype(have.dtype)), initial=0))
                largest, values = max(largest, difference / scale), values + want.size
                if not difference / scale <= atol:
                    raise ExportError(
                        f"The LiteRT file does not agree with the Keras model: `{name}` differs by "
                        f"{difference / scale:.3g} (atol={atol:g})."
                    )
        return largest, values

    def model_latency(self, call, repeats=20):
        """Median milliseconds of the model's own graph on one call's inputs."""
        import tensorflow as tf

        run = tf.function(self._model, autograph=False)
        arrays = {name: tf.constant(call[name]) for name in self.names}
        run(arrays)
        times = []
        for _ in range(repeats):
            began = clock.perf_counter()
            run(arrays)
            times.append(clock.perf_counter() - began)
        return 1e3 * float(np.median(times))


def _fixed(name, given, batch_size):
    """B of the file, where the model may fix it, too."""
    if None not in (given, batch_size) and given != batch_size:
        raise ValueError(
            f"`batch_size` of model_to_litert must be that of the model's input `{name}`, {given}. "
            f"Received: {batch_size}"
        )
    return given or batch_size


def _output_names(model):
    """The keys where the model gives a dict, else the names of the layers, each once."""
    outputs, pack = graph_outputs(model)
    structure = pack(list(range(len(outputs))))
    if isinstance(structure, dict) and all(isinstance(i, int) for i in structure.values()):
        return [name for name, _ in sorted(structure.items(), key=lambda item: item[1])]
    names = list(functional_of(model).output_names)
    if len(set(names)) == len(names):
        return names
    return [f"output_{i}" for i in range(len(names))]

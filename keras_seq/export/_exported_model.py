"""A functional model as a function of named tensors, called on whole sequences."""

import keras
import numpy as np

from keras_seq.export._exported_function import ExportedFunction, median_milliseconds
from keras_seq.export._model_call import ModelCall, layers_of
from keras_seq.export._model_inputs import (
    ALL_BUT_ONE,
    LAST_TWO,
    LENGTHS,
    checked_arrays,
    has_ids,
    largest_length,
    model_shapes,
    random_arrays,
    split_rows,
)
from keras_seq.export.report import ExportError
from keras_seq.stepping._keras_private import functional_of, graph_outputs, is_functional


class ExportedModel(ExportedFunction):
    """A functional model: inputs by name in, outputs by name out.

    Args:
        model: functional or built Sequential `keras.Model`.
        inputs: arrays to compare on, a dict by name or one array; random ones if `None`.
        atol: tolerance of outputs, relative to an output's largest number where that is above 1.
        shapes: dict from input name to shape of the exported function, open dimensions `None`; the
            model's own if `None`.

    Raises:
        TypeError: if `model` has no graph.
        ValueError: if a layer is stateful, or the inputs do not fit the shapes.

    Example:

    ```python
    import keras
    import keras_seq

    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, keras_seq.layers.GRU(8, return_sequences=True, name="y")(x))
    exported = keras_seq.export.ExportedModel(model)
    outputs = [exported(**call) for call in exported.calls]  # of an artifact, in a target
    fields = exported.compare("The model itself", outputs)
    assert fields["values"] == 8 * (13 + 2 * 5 + 1)  # random calls, of 13, 5 and a single step
    ```
    """

    advice = ""  # behind the error where an artifact does not agree

    def __init__(self, model, inputs=None, atol=1e-5, shapes=None):
        check_functional(model)
        super().__init__(model, atol)
        self.model_call = ModelCall(model)
        self.names = self.model_call.names
        self.shapes = model_shapes(self.model_call) if shapes is None else shapes
        self.output_names = output_names(model)
        if inputs is None:
            self.whole = self.random_sequences()
        else:
            self.whole = split_rows(self.checked(inputs), self.shapes)
        self.calls = self.calls_of(self.whole)

    def random_sequences(self):
        """Whole sequences to compare on: list of dicts of arrays.

        Beside common ones a single step, as many as the model has positions for, and a row that is
        padding but for its first id.
        """
        open_time = any(None in shape[1:] for shape in self.shapes.values())
        lengths = LENGTHS if open_time else (None, None)
        sequences = [self.random(i, length, LAST_TWO) for i, length in enumerate(lengths)]
        edges = []
        if has_ids(self.model_call, self.shapes):
            edges.append(self.random(0, lengths[0], ALL_BUT_ONE))
        if open_time:
            largest = largest_length(self.model_call, self.shapes)
            edges += [self.random(0, n) for n in sorted({1, largest or 1} - set(lengths))]
        return sequences + [arrays for arrays in edges if self._takes(arrays)]

    def _takes(self, arrays):
        """Whether the model itself gives numbers for an edge: some need more than one step."""
        try:
            outputs = self.model_call.run(arrays)
        except Exception:  # of any layer
            return False
        return all(np.isfinite(y.astype("float32")).all() for y in outputs)

    def random(self, seed, length, padding=None):
        return random_arrays(self.model_call, self.shapes, seed, length, padding)

    def checked(self, inputs):
        return checked_arrays(self.model_call, self.shapes, inputs)

    def calls_of(self, whole):
        """The artifact's calls for whole sequences."""
        return whole

    def metadata(self):
        return {"format": 1, "kind": "model"}, {}

    def specs(self):
        symbolic = self.model_call.inputs
        return {name: (shape, symbolic[name].dtype) for name, shape in self.shapes.items()}

    def __call__(self, **inputs):
        return dict(zip(self.output_names, self.model_call(inputs), strict=True))

    def compare(self, what, outputs):
        largest, values, each = 0.0, 0, len(outputs) // len(self.whole)
        for row, arrays in enumerate(self.whole):
            parts = outputs[row * each : (row + 1) * each]
            for name, want in zip(self.output_names, self.model_call.run(arrays), strict=True):
                if any(name not in part for part in parts):
                    raise ExportError(f"{what} gives no output `{name}`: {sorted(parts[0])}")
                difference = self.difference(what, name, want, [part[name] for part in parts])
                if not difference <= self.atol:
                    raise ExportError(
                        f"{what} does not agree with the Keras model's own call: `{name}` differs "
                        f"by {difference:.3g} (atol={self.atol:g}).{self.advice}"
                    )
                largest, values = max(largest, difference), values + want.size
        return {
            "inputs": len(outputs),
            "values": values,
            "largest_difference": largest,
            "atol": self.atol,
        }

    def both_outputs(self, outputs):
        own, have, each = [], [], len(outputs) // len(self.whole)
        for row, arrays in enumerate(self.whole):
            own.append(self.model_call.run(arrays))
            parts = outputs[row * each : (row + 1) * each]
            have.append([self.joined([part[name] for part in parts]) for name in self.output_names])
        return tuple(
            {n: np.concatenate([row[i] for row in rows]) for i, n in enumerate(self.output_names)}
            for rows in (own, have)
        )

    def difference(self, what, name, want, parts):
        """Largest difference of an output, relative to its largest number where above 1."""
        have = self.joined([keras.ops.convert_to_numpy(part) for part in parts])
        if have.shape != want.shape:
            raise ExportError(
                f"{what} does not agree with the Keras model's own call: `{name}` has shape "
                f"{have.shape}, the model's {want.shape}."
            )
        want, have = want.astype("float64"), have.astype("float64")
        scale = max(1.0, float(np.max(np.abs(want), initial=0)))
        return float(np.max(np.abs(have - want), initial=0)) / scale

    def joined(self, parts):
        """The output of a whole sequence from those of its calls."""
        return parts[0]

    def model_latency(self):
        complete = [call for call in self.calls if set(self.specs()) <= set(call)]
        return median_milliseconds(self.model_call.run, complete)


def check_functional(model):
    """Raise unless `model` is a functional model without stateful layers."""
    if not is_functional(model):
        raise TypeError(
            "What is exported must be a functional or built Sequential keras.Model, a "
            "keras_seq.generation.Generator, or as a SavedModel a "
            "keras_seq.generation.TextGenerator or keras_seq.classification.TextClassifier or "
            "TextTagger. "
            f"Received: {type(model).__name__}"
        )
    stateful = [layer.name for layer in layers_of(model) if getattr(layer, "stateful", False)]
    if stateful:
        raise ValueError(
            f"A model with stateful layers cannot be exported. Received: {stateful}. Build them "
            "with `stateful=False` and export with `streaming=True`."
        )


def output_names(model):
    """The keys where the model gives a dict, else the names of the layers, each once."""
    outputs, pack = graph_outputs(model)
    structure = pack(list(range(len(outputs))))
    if isinstance(structure, dict) and all(isinstance(i, int) for i in structure.values()):
        return [name for name, _ in sorted(structure.items(), key=lambda item: item[1])]
    names = list(functional_of(model).output_names)
    if len(set(names)) == len(names):
        return names
    return [f"output_{i}" for i in range(len(names))]

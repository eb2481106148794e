"""`Packed`: train a model on several documents a row, none of which sees another."""

import keras
from keras import ops

from keras_seq.layers.sequence_layer import check_mask
from keras_seq.stepping._keras_private import is_functional
from keras_seq.training._keras_private import made_fit_for_replicas
from keras_seq.training._packed_graph import PackedGraph
from keras_seq.training._reset_inputs import check_one_input, split_reset


@keras.saving.register_keras_serializable(package="keras_seq")
class Packed(keras.Model):
    r"""Several documents in one row, each as if it were alone, in plain `fit`.

    Rows of a batch are as long as each other, documents are not. Padded to the longest, most of a
    batch can be padding; packed one behind the other they fill it:

        x      a a a a a b b c c c c .       # three documents and one step of padding
        reset  1 0 0 0 0 1 0 1 0 0 0 1       # True where one begins, and where padding does

    `reset` goes to every layer of the model that looks along time, in models inside it, too. A
    recurrent layer starts from zeros there, attention goes no further back (and, if it is not
    causal, no further ahead) than the document, positions count from its start. So outputs and
    gradients are those of the documents run one by one. A step of padding counts in the loss
    unless its `sample_weight` is 0 or it is masked.

    The layers run as in the model's own call. The weights are those of `model`: give `model` itself
    to a `Generator` or an export.

    Args:
        model: functional (or built Sequential) model with one input, (B, T) ids or (B, T, D)
            floats. Its layers that look along time take `reset`, as do those of `keras_seq.layers`
            (recurrent ones with `return_sequences=True`) and `keras.layers.Bidirectional` around
            recurrent ones of them; all others act on each time step alone.
        **kwargs: arguments of `keras.Model` (`name`, `dtype`).

    Call arguments, returns: see `call`.

    Raises:
        TypeError: if `model` has no graph to walk, or `reset` is not boolean.
        ValueError: if `model` has several inputs, or a layer that looks along time and takes no
            `reset` (named, with what to do), or if `reset` has another shape than (B, T).

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq
    from keras_seq.training import Packed

    model = keras_seq.models.decoder_only_transformer(
        50, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32, padding_id=None
    )
    trainer = Packed(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile("adam", loss)

    tokens = np.array([[5, 6, 7, 8, 9, 2, 3, 0]])       # 5 6 7 8 | 9 2 3 | padding
    labels = np.array([[6, 7, 8, 1, 2, 3, 1, 0]])
    reset = np.array([[1, 0, 0, 0, 1, 0, 0, 1]], bool)
    weights = np.array([[1, 1, 1, 1, 1, 1, 1, 0]], "float32")
    trainer.fit({"tokens": tokens, "reset": reset}, labels, sample_weight=weights, verbose=0)

    together = trainer({"tokens": tokens, "reset": reset})
    np.testing.assert_allclose(together[:, 4:7], model(tokens[:, 4:7]), atol=1e-5)
    generator = keras_seq.generation.Generator(model, max_length=3)
    print(generator.generate(prompt=[[5, 6]]).tokens.shape)  # (1, 5)
    ```
    """

    def __init__(self, model, **kwargs):
        if not is_functional(model):
            raise TypeError(
                "`model` of Packed must be a functional (or built Sequential) keras.Model, because "
                "resets are handed to the layers of its graph. Received: "
                f"{type(model).__name__} `{getattr(model, 'name', '')}`"
            )
        check_one_input(
            "Packed", model, "each document of a row would need a context, such as a source, of own"
        )
        super().__init__(**{"dtype": model.dtype_policy, **kwargs})
        self.model = model
        self._graph = PackedGraph(model)
        self.built = True

    def call(self, inputs, training=None):
        """Run the model on rows of documents.

        Args:
            inputs: the model's input x, (B, T) ids or (B, T, D) floats, each row one document; or
                `(x, reset)`; or a dict of x, under any name, and `"reset"`. `reset` is boolean
                (B, T), True where a document begins.
            training: whether dropout is on.

        Returns:
            What the model returns.
        """
        x, reset = split_reset("Packed", inputs)
        if reset is None:
            return self.model(x, training=training)
        x = ops.convert_to_tensor(x)
        check_mask(self, "reset", reset, x)
        return self._graph.run(x, ops.convert_to_tensor(reset), training)

    def fit(self, *args, **kwargs):
        with made_fit_for_replicas(self):
            return super().fit(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        with made_fit_for_replicas(self):
            return super().evaluate(*args, **kwargs)

    def get_config(self):
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(config["model"], custom_objects)
        return cls(**{**config, "model": model})

    def get_build_config(self):
        return None  # the model is built

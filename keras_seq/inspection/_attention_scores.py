"""The attention weights of every attention layer in a functional model."""

import inspect

import numpy as np
from keras import ops

from keras_seq.stepping._graph import Graph, match_inputs, walk
from keras_seq.stepping._keras_private import is_functional


def attention_scores(model, inputs):
    """Runs a functional model once and keeps the weights of each of its attention layers.

    The model's graph is walked as its own call walks it, masks included, and every layer whose
    `call` has an argument `return_attention_scores` is asked for them: the attention layers and
    Transformer blocks of keras_seq (a decoder block answers with its cross-attention, or with its
    self-attention where it has no source) and Keras' own attention layers. Functional models inside
    the model are walked too; layers inside a subclassed layer or model are not found. Dropout is
    off.

    Args:
        model: Functional (or built Sequential) `keras.Model`.
        inputs: What the model's call takes: a dict by input name, a list, or a tensor; arrays and
            nested Python lists of numbers are converted.

    Returns:
        Dict from layer name to float32 NumPy array, (B, H, T, S), in the order in which the model
        runs its layers; H is 1 for attention without heads. A layer called twice also gives
        `"<name>_call_2"`, a layer of a model inside the model is `"<model>/<layer>"`.

    Raises:
        TypeError: If `model` has no graph to walk.
        ValueError: If the inputs are not the model's, or no layer of the model is attention.

    Example:

    ```python
    import numpy as np
    import keras_seq
    from keras_seq.inspection import attention_scores

    model = keras_seq.models.transformer(100, 80, num_layers=1, num_heads=2, hidden_dim=16)
    scores = attention_scores(model, {"source": np.ones((1, 7)), "target": np.ones((1, 5))})
    print({name: array.shape for name, array in scores.items()})
    # {'encoder_0': (1, 2, 7, 7), 'decoder_0': (1, 2, 5, 7)}
    ```
    """
    if not is_functional(model):
        raise TypeError(
            "`model` must be a functional (or built Sequential) keras.Model, because its graph "
            f"tells which layers attend. Received: {type(model).__name__} "
            f"`{getattr(model, 'name', '')}`. Call an attention layer itself with "
            "`return_attention_scores=True` instead."
        )
    calls = Graph(model).calls
    if not any(_gives_scores(call.operation) for call in calls):
        names = [call.name for call in calls]
        raise ValueError(
            f"`model` must hold an attention layer: one whose `call` has an argument "
            "`return_attention_scores`, in the model's own graph, not inside a subclassed layer. "
            f"Received: model `{model.name}` with the layers {names}"
        )
    scores = {}

    def call(name, operation, args, kwargs):
        if not _gives_scores(operation):
            return operation(*args, **kwargs)
        outputs, scores[name] = _attend(operation, args, kwargs)
        return outputs

    walk(model, match_inputs(model, inputs), call)
    return scores


def _attend(layer, args, kwargs):
    """Call `layer` for its scores, too: `(outputs as the graph knows them, scores)`."""
    place = list(inspect.signature(layer.call).parameters).index("return_attention_scores")
    if place < len(args):
        wanted, args = args[place], (*args[:place], True, *args[place + 1 :])
    else:
        wanted = kwargs.get("return_attention_scores", False)
        kwargs = {**kwargs, "return_attention_scores": True}
    y, scores, *rest = layer(*args, **kwargs)
    scores_array = ops.convert_to_numpy(ops.cast(scores, "float32"))
    if scores_array.ndim == 3:  # attention without heads
        scores_array = np.expand_dims(scores_array, 1)
    return ([y, scores, *rest] if wanted else [y, *rest]), scores_array


def _gives_scores(operation):
    call = getattr(operation, "call", None)
    return call is not None and "return_attention_scores" in inspect.signature(call).parameters

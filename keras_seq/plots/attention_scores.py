"""The attention weights of every attention layer in a functional model."""

import inspect

import keras
import numpy as np
from keras import ops

from keras_seq._keras import (
    fill_arguments,
    functional_of,
    get_mask,
    graph_nodes,
    graph_outputs,
    is_functional,
    set_mask,
)


def attention_scores(model, inputs):
    """Runs a functional model once and keeps the weights of each of its attention layers.

    The model's graph is walked as its own call walks it, masks included, and every layer whose
    `call` has an argument `return_attention_scores` is asked for them: the attention layers and
    Transformer blocks of keras_seq (a decoder block answers with its cross-attention) and Keras'
    own attention layers. Functional models inside the model are walked too; layers inside a
    subclassed layer or model are not seen. Dropout is off.

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
    from keras_seq.plots import attention_scores

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
    if not _has_attention(model):
        names = [node.operation.name for node in graph_nodes(model)]
        raise ValueError(
            f"`model` must hold an attention layer: one whose `call` has an argument "
            "`return_attention_scores`, in the model's own graph, not inside a subclassed layer. "
            f"Received: model `{model.name}` with the layers {names}"
        )
    scores = {}
    _run(model, _match_inputs(functional_of(model), inputs), scores, prefix="")
    return scores


def _run(model, flat_inputs, scores, prefix):
    """Run a model's graph on a flat list of tensors and add to `scores`; returns flat outputs."""
    values = {id(t): x for t, x in zip(functional_of(model).inputs, flat_inputs, strict=True)}
    calls = {}
    for node in graph_nodes(model):
        operation = node.operation
        args, kwargs = fill_arguments(node, values)
        calls[operation.name] = calls.get(operation.name, 0) + 1
        again = f"_call_{calls[operation.name]}" if calls[operation.name] > 1 else ""
        name = f"{prefix}{operation.name}{again}"
        if is_functional(operation):
            tensors = _inner_inputs(operation, args, kwargs)
            outputs = _run(operation, tensors, scores, prefix=f"{name}/")
        elif _gives_scores(operation):
            outputs, scores[name] = _attend(operation, args, kwargs)
        else:
            outputs = operation(*args, **kwargs)
        for tensor, value in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
            values[id(tensor)] = value
    return [values[id(t)] for t in graph_outputs(model)[0]]


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


def _has_attention(model):
    return any(
        _has_attention(node.operation)
        if is_functional(node.operation)
        else _gives_scores(node.operation)
        for node in graph_nodes(model)
    )


def _inner_inputs(model, args, kwargs):
    """The tensors that a node hands to the model inside the model, with the masks it passes."""
    bound = inspect.signature(model.call).bind(*args, **kwargs).arguments
    tensors = keras.tree.flatten(bound["inputs"])
    masks = keras.tree.flatten(bound["mask"]) if bound.get("mask") is not None else []
    for x, mask in zip(tensors, masks, strict=False):
        set_mask(x, mask)
    return tensors


def _match_inputs(functional, inputs):
    """`inputs` as tensors in the order of the model's inputs, masks kept."""
    structure, symbolic = functional.input, functional.inputs
    if isinstance(inputs, dict):
        # As in the model's call: a dict goes by the model's own keys, or by the tensors' names.
        own = isinstance(structure, dict)
        names = list(structure) if own else [t.name for t in symbolic]
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ValueError(
                f"`inputs` must hold the inputs of model `{functional.name}`: {names}. Received: "
                f"{sorted(inputs)}, which lacks {missing}"
            )
        chosen = {name: inputs[name] for name in names}
        values = _flatten_like(structure, chosen) if own else list(chosen.values())
    elif len(symbolic) == 1:
        single = isinstance(inputs, (list, tuple)) and len(inputs) == 1
        # [x] is a list of one input, [[1, 2, 3]] one batch of token ids: the rank tells.
        single = single and np.ndim(inputs[0]) == len(symbolic[0].shape)
        values = [inputs[0] if single else inputs]
    else:
        values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if len(values) != len(symbolic):
        raise ValueError(
            f"`inputs` must hold the {len(symbolic)} inputs of model `{functional.name}`: "
            f"{[t.name for t in symbolic]}. Received: {len(values)} of them"
        )
    return [_convert(t, value) for t, value in zip(symbolic, values, strict=True)]


def _flatten_like(structure, values):
    """Flatten `values` only as deep as `structure`: a nested list of numbers is one array."""
    return keras.tree.flatten(
        keras.tree.map_structure_up_to(structure, lambda _, value: _Leaf(value), structure, values)
    )


class _Leaf:
    """Keeps `keras.tree` from looking into a value."""

    def __init__(self, value):
        self.value = value


def _convert(symbolic, value):
    value = value.value if isinstance(value, _Leaf) else value
    x = ops.convert_to_tensor(value, dtype=symbolic.dtype)
    if len(x.shape) != len(symbolic.shape):
        raise ValueError(
            f"The input `{symbolic.name}` must have shape {symbolic.shape}, batch first. Received: "
            f"shape {tuple(x.shape)}. Add the batch axis to a single example: x[None]"
        )
    return set_mask(x, get_mask(value) if ops.is_tensor(value) else None)

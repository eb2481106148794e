"""What the LiteRT converter prints when it fails, pages of MLIR, in three lines."""

import re

# Of a line with an error: the operation, and the scopes of names that it stands in.
_OPERATION = re.compile(r'fused\["(\w+):", "([^"@]+)@.*error: ')
_OPEN = (
    "Give `batch_size` and `time` (of a generator `source_length`): of fixed shapes LiteRT can "
    "express more. Or write"
)


def conversion_error(failure, layers, open_shapes):
    """The text for a user.

    Args:
        failure: `ScriptError` of the converter.
        layers: the layers of the model, in which one is looked for.
        open_shapes: whether a dimension of an input is open.
    """
    found = [match for line in failure.output.splitlines() if (match := _OPERATION.search(line))]
    if not found:
        return (
            f"{failure}\nExport parts of the model to find the layer, give `time` and "
            "`batch_size`, or export with to_saved_model."
        )
    operations = list(dict.fromkeys(match[1] for match in found))
    names = ", ".join(operations[:4]) + (", ..." if len(operations) > 4 else "")
    scopes = [match[2].split("/") for match in found]
    layer = next(filter(None, (_innermost(layers, scope) for scope in scopes)), None)
    where = "the model" if layer is None else f"`{layer.name}` ({type(layer).__name__})"
    return (
        f"Could not convert the model to LiteRT: {where} needs what LiteRT cannot express.\n"
        f"TensorFlow's names of these operations: {names}.\n"
        f"{_OPEN if open_shapes else 'Write'} it with other operations of keras.ops or layers of "
        "keras_seq, or export with to_saved_model."
    )


def _innermost(layers, scopes):
    """The layer of the last of some scopes that is one, or `None`."""
    known = {layer.name: layer for layer in layers}
    for scope in reversed(scopes):
        # A layer that was called before has a scope with a number behind its name.
        layer = known.get(scope) or known.get(re.sub(r"_\d+$", "", scope))
        if layer is not None:
            return layer
    return None

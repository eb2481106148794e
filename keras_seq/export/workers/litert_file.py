"""What the LiteRT worker tells of a file; a script's own folder is on its path."""

import collections

import numpy as np
from ai_edge_litert import schema_py_generated as schema


def read_file(content):
    """`(ops, quantization)`: how often each operator occurs, in the bodies of loops too, and the
    argument `quantize` of `to_litert` that makes such a file.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    builtin = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    names = [
        (c.customCode or b"").decode() or builtin[max(c.builtinCode, c.deprecatedBuiltinCode)]
        for c in model.operatorCodes
    ]
    ops = collections.Counter(names[op.opcodeIndex] for g in model.subgraphs for op in g.operators)
    return ops, _quantization(model, names)


def _quantization(model, names):
    types = {tensor.type for g in model.subgraphs for tensor in g.tensors}
    if schema.TensorType.INT8 not in types:
        return "float16" if schema.TensorType.FLOAT16 in types else None
    products = {
        g.tensors[op.outputs[0]].type
        for g in model.subgraphs
        for op in g.operators
        if names[op.opcodeIndex] in ("FULLY_CONNECTED", "BATCH_MATMUL", "CONV_2D")
    }
    return "int8" if schema.TensorType.INT8 in products else "dynamic_int8"


def shapes(details):
    """Dict from name to `[shape, dtype]`; open dimensions are `None`."""
    return {
        name: [
            [None if n < 0 else int(n) for n in d["shape_signature"]],
            np.dtype(d["dtype"]).name,
        ]
        for name, d in details.items()
    }


def spec(details):
    """Names, types and shapes of a signature's inputs or outputs, in one line."""
    return ", ".join(
        f"{name} {np.dtype(d['dtype']).name}{[int(n) for n in d['shape_signature']]}"
        for name, d in sorted(details.items())
    )

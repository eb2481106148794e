"""What the LiteRT worker tells of a file; a script's own folder is on its path."""

import collections
import pathlib

import numpy as np
from ai_edge_litert import schema_py_generated as schema

FEW_STATES = 4
_COMPUTE = {"FULLY_CONNECTED", "BATCH_MATMUL", "CONV_2D", "ADD", "MUL"}


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
    if schema.TensorType.INT8 in types:
        computed = {
            g.tensors[op.outputs[0]].type
            for g in model.subgraphs
            for op in g.operators
            if names[op.opcodeIndex] in _COMPUTE
        }
        return "int8" if schema.TensorType.INT8 in computed else "dynamic_int8"
    return "float16" if schema.TensorType.FLOAT16 in types else None


def anonymous_memory():
    """Bytes of this process that no file stands behind; `None` where the system does not tell.

    What a LiteRT file adds to it are its arenas and the copies of weights that kernels make; the
    file itself is mapped, and the system may drop its pages. LiteRT for Python does not tell the
    size of its arenas.
    """
    try:
        status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(status.split("RssAnon:")[1].split()[0])
    except (OSError, IndexError):
        return None


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
    """Names, types and shapes of a signature's inputs or outputs, in one line; of more than a few
    states how many there are, and the bytes of a row where their batch is open.
    """
    states = {name: d for name, d in details.items() if name.startswith("state_")}
    states = states if len(states) > FEW_STATES else {}
    parts = [
        f"{name} {np.dtype(d['dtype']).name}{[int(n) for n in d['shape_signature']]}"
        for name, d in sorted(details.items())
        if name not in states
    ]
    if states:
        size = sum(
            np.prod([max(int(n), 1) for n in d["shape_signature"]]) * np.dtype(d["dtype"]).itemsize
            for d in states.values()
        )
        parts.append(f"{len(states)} states ({size / 1e3:,.1f} KB)")
    return ", ".join(parts)

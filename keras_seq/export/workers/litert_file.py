"""What the LiteRT workers tell of a file; a script's own folder is on its path."""

import collections

import numpy as np
from ai_edge_litert import schema_py_generated as schema


def count_ops(content):
    """How often each operator occurs, in the loops' bodies too."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    builtin = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    names = [
        (c.customCode or b"").decode() or builtin[max(c.builtinCode, c.deprecatedBuiltinCode)]
        for c in model.operatorCodes
    ]
    return collections.Counter(names[op.opcodeIndex] for g in model.subgraphs for op in g.operators)


def spec(details):
    """Names, types and shapes of a signature's inputs or outputs, in one line."""
    return ", ".join(
        f"{name} {np.dtype(d['dtype']).name}{[int(n) for n in d['shape_signature']]}"
        for name, d in sorted(details.items())
    )

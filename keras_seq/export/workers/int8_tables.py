"""Embedding tables in files with int8 weights: one table, of which the rows that are read count.

An embedding that is also the kernel of a product (tied logits) comes from TFLite's converter twice:
for the product with a scale a row, for the lookups with one scale for all. And where several places
look rows up, as in an embedding of source and target, the converter makes the whole table float32
at the beginning of every call and hands it to the loop. Here lookups are EMBEDDING_LOOKUP, which
makes float32 of the rows that it reads, in the product's table where there is one.

A table of positions whose first rows are cut off, as many as a sequence has, stays float32 in the
converter's files, even beside an int8 one of the same numbers. Here the cut is one of int8 rows.
"""

import copy

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_Code, _Type = schema.BuiltinOperator, schema.TensorType
_LOOKUP_VERSION = 3  # of EMBEDDING_LOOKUP, the first that takes a scale a row
_INT8_VERSION = 2  # of STRIDED_SLICE and DEQUANTIZE, the first that take int8
_FEWEST = 1024  # numbers of a table that is made int8, as of weights in the converter


def share_tables(model):
    """Change the lookups of a file, a `ModelT`, and what they read."""
    tables = _Tables(model)
    for graph in model.subgraphs:
        for op in [*graph.operators]:
            tables.share(graph, op)
            tables.cut(graph, op)


class _Tables:
    """Rewrites a `ModelT`. A table is an int8 constant (V, D), a lookup a GATHER of its rows.

    Args:
        model: the `ModelT`, which is changed.
    """

    def __init__(self, model):
        self.model = model
        self.codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]

    def share(self, graph, dequantize):
        """Remove an operator if it is a DEQUANTIZE of a table or of rows that are looked up."""
        if self._code(dequantize) != _Code.DEQUANTIZE:
            return
        (source,), (made,) = dequantize.inputs, dequantize.outputs
        gather = next((op for op in graph.operators if source in op.outputs), None)
        if gather is None:
            table = graph.tensors[source]
            lookups, loops = self._uses(graph, made)
            shared = self._with_row_scales(table) or table
        else:
            table = graph.tensors[gather.inputs[0]]
            alone = self._is_lookup(graph, gather) and len(_readers(graph, source)) == 1
            lookups, loops = [(graph, gather, made)] if alone else [], []
            shared = self._with_row_scales(table)
        unknown = [np.sum(_shape(g.tensors[rows]) < 0) for g, _, rows in lookups]
        if not lookups or shared is None or not self._is_table(table) or max(unknown) > 1:
            return
        for each in lookups:
            self._look_up(*each, shared)
        for loop, place in loops:
            self._drop_operand(loop, place)
        graph.operators.remove(dequantize)

    def cut(self, graph, op):
        """Let an operator that cuts rows off a float32 table cut them off an int8 one."""
        index = op.inputs[0] if self._code(op) == _Code.STRIDED_SLICE else None
        if index is None or not self._is_cut_alone(graph, index):
            return
        made = graph.tensors[op.outputs[0]]
        table = self._int8_table(graph.tensors[index])
        rows = copy.copy(made)
        rows.type, rows.quantization = _Type.INT8, table.quantization
        graph.tensors += [table, rows]
        table, rows = len(graph.tensors) - 2, len(graph.tensors) - 1
        arguments = [table, *op.inputs[1:]]
        cut = self._operator(_Code.STRIDED_SLICE, arguments, rows, _INT8_VERSION)
        cut.builtinOptionsType, cut.builtinOptions = op.builtinOptionsType, op.builtinOptions
        in_float32 = self._operator(_Code.DEQUANTIZE, [rows], op.outputs[0], _INT8_VERSION)
        place = graph.operators.index(op)
        graph.operators[place : place + 1] = [cut, in_float32]

    def _is_cut_alone(self, graph, index):
        """Whether a tensor is a large float32 constant (V, D) of which rows are cut off."""
        tensor = graph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None or tensor.type != _Type.FLOAT32 or len(tensor.shape) != 2:
            return False
        readers = {self._code(op) for op in _readers(graph, index)}
        return np.prod(tensor.shape) >= _FEWEST and readers == {_Code.STRIDED_SLICE}

    def _int8_table(self, table):
        """A tensor of the numbers of a float32 one; that of a table that has them, if there is."""
        values = self.model.buffers[table.buffer].data.view("float32").reshape(table.shape)
        for tensor in self._tables_of_shape(table.shape):
            scale = tensor.quantization.scale
            if len(scale) == 1 and np.all(abs(self._values(tensor) - values) <= 0.51 * scale):
                return copy.copy(tensor)
        scale = np.float32([max(abs(values).max(), np.finfo("float32").tiny) / 127])
        data = np.round(values / scale).astype("int8")
        self.model.buffers.append(schema.BufferT(data.view("uint8").reshape(-1)))
        made = copy.copy(table)
        made.type, made.buffer = _Type.INT8, len(self.model.buffers) - 1
        made.quantization = schema.QuantizationParametersT(scale=scale, zeroPoint=np.int64([0]))
        return made

    def _uses(self, graph, index):
        """`(lookups, loops)` of a float32 table, both empty if it is used otherwise.

        Lookups are `(graph, operator, index of the rows)`; loops, `(operator, place)`, take the
        table as it is, and look rows up in their body alone.
        """
        lookups, loops = [], []
        for op in _readers(graph, index):
            if self._is_lookup(graph, op):
                lookups.append((graph, op, op.outputs[0]))
            elif self._code(op) == _Code.WHILE and np.sum(op.inputs == index) == 1:
                place = int(np.argmax(op.inputs == index))
                condition, body = self._loop_graphs(op)
                inside = body.inputs[place]
                readers = _readers(body, inside)
                changed = body.outputs[place] != inside or np.sum(body.outputs == inside) > 1
                others = _readers(condition, condition.inputs[place])
                others += _readers(graph, op.outputs[place])
                others += [reader for reader in readers if not self._is_lookup(body, reader)]
                if changed or others or op.outputs[place] in graph.outputs:
                    return [], []
                lookups += [(body, reader, reader.outputs[0]) for reader in readers]
                loops.append((op, place))
            else:
                return [], []
        return lookups, loops

    def _code(self, op):
        return self.codes[op.opcodeIndex]

    def _loop_graphs(self, loop):
        options = loop.builtinOptions
        indices = options.condSubgraphIndex, options.bodySubgraphIndex
        return [self.model.subgraphs[i] for i in indices]

    def _is_table(self, tensor):
        constant = self.model.buffers[tensor.buffer].data is not None
        if not constant or tensor.type != _Type.INT8 or len(tensor.shape) != 2:
            return False
        return tensor.quantization.scale is not None and not np.any(tensor.quantization.zeroPoint)

    def _is_lookup(self, graph, op):
        if self._code(op) != _Code.GATHER:
            return False
        axis, batch_dims = op.builtinOptions.axis, op.builtinOptions.batchDims
        return axis == batch_dims == 0 and graph.tensors[op.inputs[1]].type == _Type.INT32

    def _with_row_scales(self, table):
        """The tensor of the same table with a scale a row, or `None`."""
        if not self._is_table(table):
            return None
        values, step = self._values(table), table.quantization.scale
        for tensor in self._tables_of_shape(table.shape):
            scale = tensor.quantization.scale
            if len(scale) != len(values) or tensor.quantization.quantizedDimension != 0:
                continue
            rounding = 0.51 * (step + scale)[:, None]  # both have been made from the same numbers
            if np.all(np.abs(values - self._values(tensor)) <= rounding):
                return tensor
        return None

    def _tables_of_shape(self, shape):
        tensors = (tensor for graph in self.model.subgraphs for tensor in graph.tensors)
        return (t for t in tensors if self._is_table(t) and np.array_equal(t.shape, shape))

    def _values(self, table):
        """(V, D) float32."""
        values = self.model.buffers[table.buffer].data.view("int8").reshape(table.shape)
        return values * table.quantization.scale[:, None]

    def _look_up(self, graph, gather, rows, table):
        """Replace a GATHER by an EMBEDDING_LOOKUP, which takes a vector of ids."""
        ids = _add(graph, [-1], _Type.INT32, b"ids")
        flat = _add(graph, [-1, table.shape[1]], _Type.FLOAT32, b"rows")
        known = (i for i, tensor in enumerate(graph.tensors) if tensor.buffer == table.buffer)
        index = next(known, len(graph.tensors))
        if index == len(graph.tensors):
            graph.tensors.append(copy.copy(table))
        all_ids = self._constant(graph, [-1])
        shape = self._constant(graph, _shape(graph.tensors[rows]))
        place = graph.operators.index(gather)
        graph.operators[place : place + 1] = [
            self._operator(_Code.RESHAPE, [gather.inputs[1], all_ids], ids),
            self._operator(_Code.EMBEDDING_LOOKUP, [ids, index], flat, _LOOKUP_VERSION),
            self._operator(_Code.RESHAPE, [flat, shape], rows),
        ]

    def _operator(self, code, inputs, output, version=1):
        if code not in self.codes:
            self.codes.append(code)
            self.model.operatorCodes.append(schema.OperatorCodeT(code, None, version, code))
        return schema.OperatorT(self.codes.index(code), np.int32(inputs), np.int32([output]))

    def _constant(self, graph, numbers):
        """The index of an int32 vector."""
        self.model.buffers.append(schema.BufferT(np.int32(numbers).view("uint8")))
        buffer = len(self.model.buffers) - 1
        return _add(graph, [len(numbers)], _Type.INT32, b"shape", buffer)

    def _drop_operand(self, loop, place):
        condition, body = self._loop_graphs(loop)
        for each in (loop, body):
            each.inputs, each.outputs = (np.delete(x, place) for x in (each.inputs, each.outputs))
        condition.inputs = np.delete(condition.inputs, place)


def _readers(graph, index):
    return [op for op in graph.operators if index in op.inputs]


def _shape(tensor):
    """Numbers of which those of open dimensions are -1."""
    return tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature


def _add(graph, shape, kind, name, buffer=0):
    """The index of a new tensor."""
    signature = np.int32(shape) if -1 in shape else None
    shape = np.maximum(np.int32(shape), 1)
    tensor = schema.TensorT(shape, kind, buffer, name, shapeSignature=signature, hasRank=True)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1

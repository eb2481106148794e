"""The bytes of a LiteRT file, written small.

With int8 weights, what a small model's file says of its tensors is a third of it. Here equal
vectors (shapes, the zero points of int8 kernels, one a row) and equal names are written once; the
names of intermediate results, empty entries and constants that nothing reads are left out.
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_ALIGNMENT = 16  # of constants, which are read where the file is mapped


def packed(model):
    """The bytes of a `ModelT`, which is changed."""
    read = _read_buffers(model)
    for graph in model.subgraphs:
        computed = {index for op in graph.operators for index in op.outputs}
        for index in computed.difference(graph.outputs):
            graph.tensors[index].name = None
        for tensor in graph.tensors:
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
            if tensor.buffer not in read:
                model.buffers[tensor.buffer].data = None
    for buffer in model.buffers:
        buffer.__class__ = _AlignedBuffer
    builder = _SharingBuilder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _read_buffers(model):
    """Indices of the buffers that an operator takes or a graph gives."""
    read = set()
    for graph in model.subgraphs:
        taken = (index for op in graph.operators for index in op.inputs if index >= 0)
        read.update(graph.tensors[index].buffer for index in [*taken, *graph.outputs])
    return read


class _SharingBuilder(flatbuffers.Builder):
    """Writes equal vectors and strings once."""

    def __init__(self, size):
        super().__init__(size)
        self._written = {}

    def CreateNumpyVector(self, x):
        return self._once((x.dtype.str, x.tobytes()), super().CreateNumpyVector, x)

    def CreateString(self, s, *arguments):
        return self._once(s, super().CreateString, s, *arguments)

    def _once(self, key, write, *arguments):
        if key not in self._written:
            self._written[key] = write(*arguments)
        return self._written[key]


class _AlignedBuffer(schema.BufferT):
    """A buffer that begins where the schema wants it; its Python code does not see to that."""

    def Pack(self, builder):
        if self.data is not None:
            data = np.asarray(self.data, "uint8")
            builder.StartVector(1, len(data), _ALIGNMENT)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data.tobytes()
            data = builder.EndVector()
        schema.BufferStart(builder)
        if self.data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from keras_seq.export.workers.small_file import packed

X = np.random.default_rng(0).normal(size=(1, 48)).astype("float32")


@pytest.fixture(scope="module")
def content():
    """A file of two layers with int8 weights."""
    rng = np.random.default_rng(1)
    module = tf.Module()
    module.kernels = [tf.Variable(rng.normal(size=(48, 48)).astype("float32")) for _ in range(2)]

    def call(x):
        for kernel in module.kernels:
            x = tf.nn.relu(tf.matmul(x, kernel))
        return {"y": x}

    run = tf.function(call, autograph=False)
    concrete = [run.get_concrete_function(tf.TensorSpec(X.shape, "float32", "x"))]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(concrete, module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def unpacked(content):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def outputs(content):
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (x,), (y,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(x["index"], X)
    interpreter.invoke()
    return interpreter.get_tensor(y["index"])


def test_a_small_file_computes_the_same(content):
    small = packed(unpacked(content))
    assert len(small) < len(content)
    np.testing.assert_array_equal(outputs(small), outputs(content))


def test_constants_begin_where_a_mapped_file_is_read(content):
    small = np.frombuffer(packed(unpacked(content)), "uint8")
    model = schema.Model.GetRootAs(small, 0)
    buffers = map(model.Buffers, range(model.BuffersLength()))
    constants = [buffer.DataAsNumpy() for buffer in buffers if not buffer.DataIsNone()]
    offsets = [constant.ctypes.data - small.ctypes.data for constant in constants]
    assert offsets and all(offset % 16 == 0 for offset in offsets)


def test_inputs_outputs_and_weights_keep_their_names(content):
    before, after = unpacked(content), unpacked(packed(unpacked(content)))
    (old,), (new,) = before.subgraphs, after.subgraphs
    kept = [*old.inputs, *old.outputs]
    kept += [i for i, t in enumerate(old.tensors) if before.buffers[t.buffer].data is not None]
    assert [old.tensors[i].name for i in kept] == [new.tensors[i].name for i in kept]
    assert [tensor.name for tensor in new.tensors].count(None) > 0


def test_constants_that_nothing_reads_are_left_out(content):
    model = unpacked(content)
    size = len(packed(unpacked(content)))
    model.buffers.append(schema.BufferT(np.arange(4096, dtype="uint8")))
    unread = schema.TensorT([4096], schema.TensorType.UINT8, len(model.buffers) - 1, b"unread")
    model.subgraphs[0].tensors.append(unread)
    assert len(packed(model)) < size + 400

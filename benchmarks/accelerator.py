"""The kernels of a GPU against the loop and the explicit form, on one backend: time and numbers.

    KERAS_BACKEND=jax python benchmarks/accelerator.py
    KERAS_BACKEND=tensorflow python benchmarks/accelerator.py --dtypes float32 --rounds 30

A training step is the gradient of the mean of squared outputs by the weights, compiled: with XLA,
but for cuDNN on TensorFlow, which XLA does not compile. Systems:

    LSTM, GRU          `use_cudnn="auto"`, `use_cudnn=False`, and the layer of `keras.layers`
    causal attention   the backend's kernel as `MultiHeadSelfAttention` takes it, its explicit form,
                       and `keras.layers.MultiHeadAttention`

They have the same weights and alternate; figures are medians in ms. `difference` is the largest one
between the outputs of a system and of keras_seq without a kernel. cuDNN may use TensorFloat-32 for
float32, as XLA does. Without a GPU no kernel is taken, so the first two systems are one. For
TensorFlow and JAX.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from keras import ops

import keras_seq
from keras_seq.layers._devices import has_gpu
from keras_seq.layers.attention import _multi_head

RECURRENT = [(32, 100, 128, 256), (128, 200, 64, 64), (20, 35, 650, 650), (64, 512, 512, 512)]
ATTENTION = [(16, 128, 6, 64), (8, 1024, 8, 64), (2, 4096, 8, 64)]  # B, T, H, K
KERNEL, PLAIN, KERAS = "kernel", "no kernel", "keras.layers"


def recurrent_layers(name, units, dtype):
    ours, theirs = getattr(keras_seq.layers, name), getattr(keras.layers, name)
    arguments = {"return_sequences": True, "dtype": dtype}
    return {
        KERNEL: ours(units, **arguments),
        PLAIN: ours(units, use_cudnn=False, **arguments),
        KERAS: theirs(units, **arguments),
    }


def attention_layers(heads, width, dtype):
    def ours():
        return keras_seq.layers.MultiHeadSelfAttention(heads, width, causal=True, dtype=dtype)

    class Theirs(keras.layers.MultiHeadAttention):
        def build(self, shape):
            super().build(shape, shape)

        def call(self, x):
            return super().call(x, x, use_causal_mask=True)

        def compute_output_spec(self, x):
            return x

    return {KERNEL: ours(), PLAIN: ours(), KERAS: Theirs(heads, width, dtype=dtype)}


def compiled(layer, x, jit):
    """`(forward, training step)` without arguments; each waits for its result."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)

        def step():
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.cast(layer(x), "float32") ** 2)
            return tape.gradient(loss, [v.value for v in layer.trainable_variables])

        compile_ = {"jit_compile": jit, "autograph": False}
        forward, step = tf.function(lambda: layer(x), **compile_), tf.function(step, **compile_)
        return lambda: forward().numpy(), lambda: step()[0].numpy()

    import jax

    weights = [v.value for v in layer.trainable_variables]
    others = [v.value for v in layer.non_trainable_variables]

    def call(weights):
        return layer.stateless_call(weights, others, x)[0]

    forward = jax.jit(call)
    step = jax.jit(jax.grad(lambda weights: (call(weights).astype("float32") ** 2).mean()))
    return (
        lambda: np.asarray(ops.convert_to_numpy(forward(weights)), "float32"),
        lambda: jax.block_until_ready(step(weights)),
    )


def measure(what, layers, x, rounds):
    systems, outputs, chosen = {}, {}, _multi_head.has_fused_attention
    for name, layer in layers.items():
        layer.build(x.shape)
        if name != KERNEL:
            layer.set_weights(layers[KERNEL].get_weights())
        _multi_head.has_fused_attention = chosen if name == KERNEL else lambda: False
        jit = getattr(layer, "supports_jit", True)
        forward, step = compiled(layer, x, jit)
        try:
            outputs[name] = np.asarray(forward(), "float32")
            step()
        except TypeError as error:  # keras.layers.GRU in 16 bits on JAX (Keras 3.15)
            print(f"{what:52} {name:14} failed: {str(error).splitlines()[0]}")
            continue
        systems[name] = step
    _multi_head.has_fused_attention = chosen
    times = {name: [] for name in systems}
    for _ in range(rounds):
        for name, step in systems.items():
            start = time.perf_counter()
            step()
            times[name].append(1e3 * (time.perf_counter() - start))
    for name, measured in times.items():
        difference = np.abs(outputs[name] - outputs[PLAIN]).max()
        median = statistics.median(measured)
        print(f"{what:52} {name:14} {median:9.2f} ms   difference {difference:.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--recurrent", type=int, nargs="*", default=list(range(len(RECURRENT))))
    parser.add_argument("--attention", type=int, nargs="*", default=list(range(len(ATTENTION))))
    options = parser.parse_args()
    backend, gpu = keras.backend.backend(), "a GPU" if has_gpu() else "no GPU"
    print(f"{backend}, {gpu}, Keras {keras.__version__}; a training step:")
    rng = np.random.default_rng(0)
    for dtype in options.dtypes:
        for i in options.recurrent:
            batch, time_steps, features, units = RECURRENT[i]
            x = rng.normal(size=(batch, time_steps, features)).astype("float32")
            for name in ("LSTM", "GRU"):
                what = f"{name} (B, T, D, U) = {RECURRENT[i]}, {dtype}"
                measure(what, recurrent_layers(name, units, dtype), x, options.rounds)
        for i in options.attention:
            batch, time_steps, heads, width = ATTENTION[i]
            x = rng.normal(size=(batch, time_steps, heads * width)).astype("float32")
            what = f"attention (B, T, H, K) = {ATTENTION[i]}, {dtype}"
            measure(what, attention_layers(heads, width, dtype), x, options.rounds)


if __name__ == "__main__":
    main()

"""Train and generate on one device and on eight; prints how far they are apart as JSON.

Run in a process of its own, with JAX on eight simulated CPU devices.
"""

import json
import re

import jax
import keras
import numpy as np
from keras import distribution

import keras_seq as ks

B, T, V = 8, 6, 24
DEVICES = distribution.list_devices()
RNG = np.random.default_rng(0)
SERIES, TOKENS = RNG.normal(size=(B, T, 4)), RNG.integers(1, V, size=(B, T))
SERIES[::2, T - 2 :] = 0  # masked


def recurrent():
    x = inputs = keras.Input((T, 4))
    x = keras.layers.Masking()(x)
    x = ks.layers.GRU(3)(ks.layers.LSTM(5, return_sequences=True)(x))
    return keras.Model(inputs, keras.layers.Dense(V)(x))


def transformer():
    return ks.models.decoder_only_transformer(
        V,
        sequence_length=2 * T,
        num_layers=1,
        num_heads=4,
        hidden_dim=16,
        intermediate_dim=32,
        tie_embeddings=False,
        dropout=0.0,
        padding_id=None,
    )


def data_parallel():
    return distribution.DataParallel(devices=DEVICES)


def model_parallel():
    mesh = distribution.DeviceMesh((2, 4), ["batch", "model"], DEVICES)
    layout_map = ks.training.transformer_layout_map(mesh)
    return distribution.ModelParallel(layout_map=layout_map, batch_dim_name="batch")


def trained(make, x, y, scheme):
    """`(model, losses of two steps)`."""
    distribution.set_distribution(scheme)
    keras.utils.set_random_seed(0)
    model = make()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), loss)
    return model, [float(model.train_on_batch(x, y)) for _ in range(2)]


def difference(pair, other):
    (model, losses), (second, others) = pair, other
    weights = zip(model.get_weights(), second.get_weights(), strict=True)
    gaps = [np.abs(a - b).max() for a, b in weights]
    return float(max(*gaps, *np.abs(np.subtract(losses, others))))


def generated(model):
    """`(tokens, shapes of the loop's state on each device)`."""
    programs, jit = [], jax.jit

    def spy(function):
        def call(*args):
            program = jit(function).lower(*args).compile()
            programs.append(program.as_text())
            return program(*args)

        return call

    generator = ks.generation.Generator(model, max_length=T, self_check=False)
    jax.jit = spy
    tokens = generator.generate(prompt=TOKENS[:2, :3]).tokens.tolist()
    jax.jit = jit
    (program,) = programs
    (loop,) = [line for line in program.splitlines() if " while(" in line]
    return tokens, re.findall(r"f32\[[\d,]*\]", loop.split(" while(")[0])


def main():
    assert len(DEVICES) == 8 and keras.backend.backend() == "jax"
    labels, following = RNG.integers(V, size=B), np.roll(TOKENS, -1, axis=1)
    one = trained(recurrent, SERIES, labels, None)
    report = {"recurrent": difference(one, trained(recurrent, SERIES, labels, data_parallel()))}
    one = trained(transformer, TOKENS, following, None)
    tokens, _ = generated(one[0])
    report["data"] = difference(one, trained(transformer, TOKENS, following, data_parallel()))
    many = trained(transformer, TOKENS, following, model_parallel())
    report["model"] = difference(one, many)
    weights = {v.path: v.value.sharding for v in many[0].weights}
    report["divided"] = [path for path, s in weights.items() if not s.is_fully_replicated]
    parallel_tokens, report["state"] = generated(many[0])
    report["same tokens"] = parallel_tokens == tokens
    print(json.dumps(report))


if __name__ == "__main__":
    main()

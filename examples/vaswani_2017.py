"""The Transformer of Vaswani et al. 2017 written out, beside `keras_seq.models.transformer`.

    python examples/vaswani_2017.py            # 15 seconds on two CPU cores
    python examples/vaswani_2017.py --quick    # a tiny model

With equal weights the two give equal numbers. The parameters of the paper's base model (its
table 3 says 65 million) are, for one vocabulary of 37,000 tokens,

    embedding      18,944,000    both languages' and the output's, one matrix
    attention      18,874,368    without biases, as the paper writes it
    feed_forward   25,196,544
    norm               30,720
    total          63,045,632

Beside what the paper says, attention weights are dropped, too.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers

import keras_seq
from keras_seq.layers import (
    FeedForward,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
    PositionalEmbedding,
)

QUICK = {"vocabulary": 100, "layers": 2, "heads": 2, "dim": 16, "inner_dim": 32, "length": 8}


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--vocabulary", type=int, default=37000, help="V, of both languages (section 5.1)")
    add("--layers", type=int, default=6, help="N, of each stack")
    add("--heads", type=int, default=8, help="H")
    add("--dim", type=int, default=512, help="D, the width of the model")
    add("--inner-dim", type=int, default=2048, help="width inside the feed-forward networks")
    add("--length", type=int, default=64, help="T = S, tokens of the compared sequences")
    add("--quick", action="store_true", help=f"defaults {QUICK}")
    options = parser.parse_args(arguments)
    if options.quick:  # what the command line names goes before
        parser.set_defaults(**QUICK)
        options = parser.parse_args(arguments)
    return options


def written_out(V, N=6, H=8, D=512, inner_dim=2048, length=512, dropout=0.1):
    """The model of section 3, layer by layer; letters as in the paper."""
    heads = {"num_heads": H, "key_dim": D // H, "use_bias": False, "dropout": dropout}

    def residual(layer, x, *context):  # LayerNorm(x + Dropout(Sublayer(x))), 3.1 and 5.4
        y = layers.Dropout(dropout)(layer(x, *context))
        norm = layers.LayerNormalization(epsilon=1e-5, name=f"{layer.name}_norm")
        return norm(layers.Add()([x, y]))

    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    embedding = PositionalEmbedding(V, D, length, kind="interleaved", name="embedding")  # 3.4, 3.5
    x = layers.Dropout(dropout)(embedding(source))
    for block in (f"encoder_{i}" for i in range(N)):
        x = residual(MultiHeadSelfAttention(**heads, name=f"{block}_self_attention"), x)
        x = residual(FeedForward(inner_dim, name=f"{block}_feed_forward"), x)
    y = layers.Dropout(dropout)(embedding(target))
    for block in (f"decoder_{i}" for i in range(N)):
        look_back = MultiHeadSelfAttention(**heads, causal=True, name=f"{block}_self_attention")
        y = residual(look_back, y)
        y = residual(MultiHeadCrossAttention(**heads, name=f"{block}_cross_attention"), y, x)
        y = residual(FeedForward(inner_dim, name=f"{block}_feed_forward"), y)
    logits = embedding(y, reverse=True)  # one matrix for both embeddings and the output, 3.4
    return keras.Model({"source": source, "target": target}, logits, name="written_out")


def in_one_call(V, N=6, H=8, D=512, inner_dim=2048, length=512, dropout=0.1):
    """The same model from `keras_seq.models`."""
    return keras_seq.models.transformer(
        V,
        V,
        sequence_length=length,
        num_layers=N,
        num_heads=H,
        hidden_dim=D,
        intermediate_dim=inner_dim,
        dropout=dropout,
        normalize_first=False,
        positions="interleaved",
        tie_embeddings=True,
        share_embeddings=True,
        use_attention_bias=False,
        name="in_one_call",
    )


def copy_weights(model, other):
    """By name: `encoder_0/feed_forward/...` of one is `encoder_0_feed_forward/...` of the other."""
    values = {w.path.replace("/", "_"): w for w in model.weights}
    other.set_weights([values[w.path.replace("/", "_")] for w in other.weights])


def parameters(model):
    """Parameters by part of the model."""
    parts = {"embedding": 0, "attention": 0, "feed_forward": 0, "norm": 0}
    for weight in model.weights:
        part = next(name for name in reversed(parts) if name in weight.path)
        parts[part] += int(np.prod(weight.shape))
    return {**parts, "total": sum(parts.values())}


def seconds(model, inputs, repeats=5):
    """The quickest of some calls in graph mode."""
    model.predict_on_batch(inputs)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        model.predict_on_batch(inputs)
        times.append(time.perf_counter() - start)
    return min(times)


def main(arguments=None):
    options = parse_arguments(arguments)
    sizes = (options.vocabulary, options.layers, options.heads, options.dim, options.inner_dim)
    models = [build(*sizes, length=options.length) for build in (written_out, in_one_call)]
    copy_weights(*models)
    rng = np.random.default_rng(0)
    shape = (1, options.length)
    inputs = {
        name: rng.integers(1, options.vocabulary, shape, dtype="int32")
        for name in ("source", "target")
    }
    logits = [model.predict_on_batch(inputs) for model in models]
    difference = float(np.max(np.abs(logits[0] - logits[1])))
    print(f"{'':24}{models[0].name:>16}{models[1].name:>16}")
    for part, *counts in zip(
        parameters(models[0]), *(parameters(model).values() for model in models), strict=True
    ):
        print(f"{part:24}" + "".join(f"{count:>16,}" for count in counts))
    times = [1000 * seconds(model, inputs) for model in models]
    print(f"{f'ms, B = 1, T = {options.length}':24}" + "".join(f"{t:>16.1f}" for t in times))
    print(f"largest difference of logits: {difference:.1e}, of size {np.abs(logits[0]).max():.1f}")
    return difference


if __name__ == "__main__":
    main()

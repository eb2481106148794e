"""Training on several devices: weights and batches divided, numbers as on one."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest
from keras.distribution import DeviceMesh

import keras_seq as ks

SCRIPT = pathlib.Path(__file__).with_name("run_on_eight_devices.py")
MESH = DeviceMesh((1, 4), ["batch", "model"], [f"cpu:{i}" for i in range(4)])
SIZES = {"num_heads": 4, "hidden_dim": 8, "intermediate_dim": 12, "num_layers": 1}
BLOCK = {
    "query_kernel": 1,
    "query_bias": 0,
    "key_kernel": 1,
    "key_bias": 0,
    "value_kernel": 1,
    "value_bias": 0,
    "output_kernel": 0,
    "inner_kernel": 1,
    "inner_bias": 0,
    "linear_kernel": 1,
    "linear_bias": 0,
    "outer_kernel": 0,
    "embeddings": 1,
    "positions": 1,
}


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX simulates several devices")
def test_eight_devices_give_the_weights_and_tokens_of_one():
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8",
        "PYTHONPATH": str(pathlib.Path(ks.__file__).parents[1]),
    }
    run = subprocess.run(
        [sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    report = json.loads(run.stdout.splitlines()[-1])
    assert max(report["recurrent"], report["data"], report["model"]) < 1e-5
    assert report["same tokens"]
    names = {path.rsplit("/")[-1] for path in report["divided"]}
    assert names == set(BLOCK) - {"linear_kernel", "linear_bias"} | {"kernel"}
    assert report["state"].count("f32[2,1,12,4]") == 2  # the cache: one head of four on each device


@pytest.mark.parametrize("family", ["decoder_only_transformer", "transformer"])
@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_heads_inner_features_and_embeddings_are_divided(family, positions):
    sizes = [24] if family == "decoder_only_transformer" else [24, 20]
    model = getattr(ks.models, family)(
        *sizes, positions=positions, gated=True, tie_embeddings=False, **SIZES
    )
    layout_map = ks.training.transformer_layout_map(MESH)
    divided = 0
    for weight in model.weights:
        layer, name = weight.path.split("/")[-2:]
        layout = layout_map[weight.path]
        axis = 0 if (layer, name) == ("logits", "kernel") else BLOCK.get(name)
        assert (layout is None) == (axis is None), weight.path
        if layout is not None:
            assert layout.axes[axis] == "model" and len(layout.axes) == len(weight.shape)
            assert sum(part is not None for part in layout.axes) == 1
            assert weight.shape[axis] % 4 == 0
            divided += 1
    assert divided > 12


def test_layers_of_a_plain_model_are_known_by_their_default_names():
    layout_map = ks.training.transformer_layout_map(MESH)
    tokens = keras.Input((None,), dtype="int32")
    x = ks.layers.PositionalEmbedding(8, 8, 6)(tokens)
    for _ in range(2):
        x = ks.layers.FeedForward(8)(ks.layers.MultiHeadSelfAttention(4, 2)(x))
    divided = [v.path for v in keras.Model(tokens, x).weights if layout_map[v.path] is not None]
    assert len(divided) == 1 + 2 * (7 + 3)


def test_fewer_heads_of_keys_than_devices_are_on_each_device():
    layout_map = ks.training.transformer_layout_map(MESH, num_key_value_heads=2)
    assert layout_map["decoder_0/self_attention/key_kernel"] is None
    assert layout_map["decoder_0/self_attention/query_kernel"].axes == (None, "model", None)
    layout_map = ks.training.transformer_layout_map(MESH, num_key_value_heads=8)
    assert layout_map["decoder_0/self_attention/key_kernel"].axes == (None, "model", None)


def test_an_unknown_axis_is_named():
    with pytest.raises(ValueError, match="among \\['batch', 'model'\\]. Received: model_dim='m'"):
        ks.training.transformer_layout_map(MESH, "m")

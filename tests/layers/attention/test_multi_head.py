import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.layers.attention import _multi_head as attention_heads

B, T, S, D = 2, 5, 4, 6


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="TensorFlow has no kernel for attention"
)
@pytest.mark.parametrize("groups", [2, 1])
def test_the_backends_kernel_gives_the_same_numbers(groups, monkeypatch):
    mask = np.array([[True, False, True, True, False], [False] * T])
    own = ks.layers.MultiHeadSelfAttention(2, 3, causal=True, num_key_value_heads=groups)
    cross = ks.layers.MultiHeadCrossAttention(2, 3, num_key_value_heads=groups)
    x, context = normal(B, T, D), normal(B, S, D)

    def results():
        y = own(x, mask=ops.convert_to_tensor(mask))
        z = cross(x, context, context_mask=ops.convert_to_tensor(mask[:, :S]))
        return [ops.convert_to_numpy(part) for part in (own(x), y, z)]

    expected = results()
    monkeypatch.setattr(attention_heads, "has_fused_attention", lambda: True)
    used = []
    kernel = ops.dot_product_attention
    monkeypatch.setattr(
        ops, "dot_product_attention", lambda *a, **k: used.append(1) or kernel(*a, **k)
    )
    for got, wanted in zip(results(), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert len(used) == 3


def test_a_cpu_takes_the_explicit_form():
    if keras.backend.backend() == "torch":
        pytest.skip("torch may have an accelerator")
    assert not attention_heads.has_fused_attention()


def test_kernels_of_one_shape_start_apart():
    layer = ks.layers.MultiHeadSelfAttention(2, 3)
    layer(normal(B, T, D))
    kernels = [layer.query_kernel, layer.key_kernel, layer.value_kernel]
    first, *others = [ops.convert_to_numpy(kernel) for kernel in kernels]
    assert all(np.abs(first - other).max() > 0.01 for other in others)

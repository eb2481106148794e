import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.layers import _devices
from keras_seq.layers.attention import _multi_head as attention_heads

B, T, S, D = 2, 6, 4, 6


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def spied_kernel(monkeypatch):
    """What the backend's kernel, which is let in on a CPU, is called with: a list of dicts."""
    monkeypatch.setattr(attention_heads, "has_fused_attention", lambda: True)
    calls, kernel = [], ops.dot_product_attention

    def spy(*args, **kwargs):
        calls.append(kwargs)
        return kernel(*args, **kwargs)

    monkeypatch.setattr(ops, "dot_product_attention", spy)
    return calls


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="TensorFlow has no kernel for attention"
)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("groups", [2, 1])
def test_the_backends_kernel_gives_the_same_numbers(groups, causal, monkeypatch):
    mask = np.array([[True, False, True, True, False, True], [False] * T])
    own = ks.layers.MultiHeadSelfAttention(2, 3, causal=causal, num_key_value_heads=groups)
    cross = ks.layers.MultiHeadCrossAttention(2, 3, num_key_value_heads=groups)
    x, context = normal(B, T, D), normal(B, S, D)
    given, source = ops.convert_to_tensor(mask), ops.convert_to_tensor(mask[:, :S])

    def results():
        calls = [own(x), own(x, mask=given), cross(x, context)]
        calls.append(cross(x, context, context_mask=source))
        return [ops.convert_to_numpy(part) for part in calls]

    expected = results()
    calls = spied_kernel(monkeypatch)
    for got, wanted in zip(results(), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    dense = [call["mask"] is not None for call in calls]
    assert dense == [False, True, False, True]
    assert [call["is_causal"] for call in calls] == [causal, causal, False, False]


def test_what_the_kernel_cannot_do_is_done_in_the_explicit_form(monkeypatch):
    calls = spied_kernel(monkeypatch)
    x, odd = normal(B, T, D), normal(B, T - 1, D)
    layer = ks.layers.MultiHeadSelfAttention(2, 3, causal=True)
    layer(x, return_attention_scores=True)
    layer(x, attention_bias=np.zeros((1, 1, T, T), "float32"))
    layer(odd, mask=ops.ones((B, T - 1), "bool"))
    layer.step(x[:, :1], layer.get_initial_state(B, T))
    ks.layers.MultiHeadSelfAttention(2, 3, causal=True, positions="alibi")(x)
    ks.layers.MultiHeadSelfAttention(2, 3, dropout=0.5)(x, training=True)
    ks.layers.MultiHeadSelfAttention(2, 3, value_dim=5)(x)
    assert calls == []


def test_a_window_narrower_than_the_sequence_is_not_taken_for_plain_causal(monkeypatch):
    layer = ks.layers.MultiHeadSelfAttention(2, 3, causal=True, sliding_window=T - 2)
    expected = ops.convert_to_numpy(layer(normal(B, T, D)))
    calls = spied_kernel(monkeypatch)
    got = ops.convert_to_numpy(layer(normal(B, T, D)))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert len(calls) == 1


def test_only_a_gpu_of_a_backend_with_a_kernel_takes_it(monkeypatch):
    if keras.backend.backend() != "torch":  # which may have a GPU
        assert not attention_heads.has_fused_attention()
    monkeypatch.setattr(_devices, "has_gpu", lambda: True)
    assert attention_heads.has_fused_attention() == (keras.backend.backend() != "tensorflow")


def test_kernels_of_one_shape_start_apart():
    layer = ks.layers.MultiHeadSelfAttention(2, 3)
    layer(normal(B, T, D))
    kernels = [layer.query_kernel, layer.key_kernel, layer.value_kernel]
    first, *others = [ops.convert_to_numpy(kernel) for kernel in kernels]
    assert all(np.abs(first - other).max() > 0.01 for other in others)

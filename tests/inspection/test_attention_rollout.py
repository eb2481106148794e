import numpy as np
import pytest

from keras_seq.inspection import attention_rollout, attention_scores
from keras_seq.models import set_detector, transformer, vision_transformer

IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")


def small():
    return vision_transformer((8, 8, 1), 3, 4, num_layers=3, num_heads=2, hidden_dim=8)


def test_it_is_the_product_of_the_mean_weights_with_the_residual_connection():
    model = small()
    expected = np.stack([np.eye(5)] * 2)
    for scores in attention_scores(model, IMAGES).values():
        for i in range(2):
            expected[i] = (0.5 * scores[i].mean(axis=0) + 0.5 * np.eye(5)) @ expected[i]
    rollout = attention_rollout(model, IMAGES)
    assert rollout.dtype == np.float32
    np.testing.assert_allclose(rollout, expected, atol=1e-6)
    np.testing.assert_allclose(rollout.sum(axis=-1), 1.0, atol=1e-5)


def test_uniform_attention_of_two_blocks_gives_the_fractions_worked_out_by_hand(monkeypatch):
    uniform = np.full((1, 2, 2, 2), 0.5, "float32")
    monkeypatch.setattr(
        "keras_seq.inspection._attention_rollout.attention_scores",
        lambda model, inputs: {"first": uniform, "second": uniform},
    )
    # (1/2 uniform + 1/2 I) = [[3/4, 1/4], [1/4, 3/4]], and its square:
    np.testing.assert_allclose(attention_rollout(None, None), [[[0.625, 0.375], [0.375, 0.625]]])


def test_the_layers_of_one_stack_can_be_named():
    images = np.zeros((1, 16, 16, 1), "float32")
    model = set_detector((16, 16, 1), 2, num_heads=2, hidden_dim=8, filters=(4, 4))
    rollout = attention_rollout(model, images, layers=["encoder_0", "encoder_1"])
    assert rollout.shape == (1, 16, 16)
    with pytest.raises(ValueError, match="from one sequence to itself"):
        attention_rollout(model, images)
    with pytest.raises(ValueError, match=r"names among .*'encoder_0'.*Received: \['encoder_9'\]"):
        attention_rollout(model, images, layers=["encoder_9"])


def test_an_encoder_decoder_needs_names_too():
    model = transformer(9, 9, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8)
    inputs = {"source": np.ones((1, 4)), "target": np.ones((1, 3))}
    with pytest.raises(ValueError, match="from one sequence to itself"):
        attention_rollout(model, inputs)

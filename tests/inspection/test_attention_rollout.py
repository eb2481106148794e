import numpy as np
import pytest

from keras_seq.inspection import attention_rollout, attention_scores
from keras_seq.models import vision_transformer

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


@pytest.fixture
def give_scores(monkeypatch):
    """Lets a model have given attention weights, a dict by name."""

    def give(scores):
        monkeypatch.setattr(
            "keras_seq.inspection._attention_rollout.attention_scores",
            lambda model, inputs: scores,
        )

    return give


def test_uniform_attention_of_two_blocks_gives_the_fractions_worked_out_by_hand(give_scores):
    uniform = np.full((1, 2, 2, 2), 0.5, "float32")
    give_scores({"first": uniform, "second": uniform})
    # (1/2 uniform + 1/2 I) = [[3/4, 1/4], [1/4, 3/4]], and its square:
    np.testing.assert_allclose(attention_rollout(None, None), [[[0.625, 0.375], [0.375, 0.625]]])


def test_the_layers_of_an_encoder_can_be_named_where_there_is_a_decoder(give_scores):
    uniform = np.full((1, 2, 2, 2), 0.5, "float32")
    across = np.full((1, 2, 3, 2), 0.5, "float32")
    give_scores({"encoder": uniform, "decoder": across})
    rollout = attention_rollout(None, None, layers=["encoder"])
    np.testing.assert_allclose(rollout, [[[0.75, 0.25], [0.25, 0.75]]])
    with pytest.raises(ValueError, match="from one sequence to itself"):
        attention_rollout(None, None)
    with pytest.raises(ValueError, match=r"names among .*'encoder'.*Received: \['encoder_9'\]"):
        attention_rollout(None, None, layers=["encoder_9"])

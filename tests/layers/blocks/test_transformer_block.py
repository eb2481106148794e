import keras
import numpy as np
import pytest
from keras import ops

import keras_seq as ks
from keras_seq.layers import AlibiBias, RotaryEmbedding
from keras_seq.testing import check_sequence_layer
from tests.layers.layer_equations import normal

BLOCKS = [ks.layers.TransformerEncoderBlock, ks.layers.TransformerDecoderBlock]
blocks = pytest.mark.parametrize("block_class", BLOCKS)


def inputs_of(block_class, features=4):
    x = normal(2, 4, features)
    return [x] if block_class is ks.layers.TransformerEncoderBlock else [x, normal(2, 3, 5)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"use_attention_bias": False},
        {"sliding_window": 2},
        {"positions": "alibi"},
        {"positions": RotaryEmbedding(max_wavelength=50)},
        {"kernel_initializer": keras.initializers.RandomNormal(seed=3), "bias_initializer": "ones"},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_each_option_keeps_the_contract(arguments):
    """Those that the encoder block's own test leaves out."""
    block = ks.layers.TransformerEncoderBlock(6, 2, causal=True, **arguments)
    laws = ["stepping equals calling", "config round trip"]
    check_sequence_layer(block, (2, 4, 4), laws=laws)


def test_options_are_those_of_the_sublayers():
    block = ks.layers.TransformerDecoderBlock(
        6, 2, use_bias=False, use_attention_bias=True, positions="alibi", normalization="rms"
    )
    block(normal(2, 4, 4))
    assert block.self_attention.query_bias is not None
    assert isinstance(block.self_attention.position_scheme, AlibiBias)
    names = {w.path.split("/", 1)[1] for w in block.weights if "self_attention/" not in w.path}
    assert names == {
        "self_attention_norm/scale",
        "feed_forward/inner_kernel",
        "feed_forward/outer_kernel",
        "feed_forward_norm/scale",
    }
    plain = ks.layers.TransformerEncoderBlock(6, 2, use_bias=False, bias_initializer="ones")
    plain(normal(2, 4, 4))
    assert not [w.path for w in plain.weights if "bias" in w.path or "beta" in w.path]


@blocks
def test_heads_have_a_width_of_their_own_and_scores_another_scale(block_class):
    block = block_class(6, 3, key_dim=5, attention_scale=1.0, use_attention_bias=["query"])
    inputs = inputs_of(block_class)  # 4 features are no multiple of 3 heads
    y = block(*inputs)
    assert y.shape == (2, 4, 4)
    for attention in filter(None, (block.self_attention, getattr(block, "cross_attention", None))):
        assert tuple(attention.query_kernel.shape) == (4, 3, 5) and attention.scale == 1.0
        biases = [w.name for w in attention.weights if w.name.endswith("bias")]
        assert biases == ["query_bias"]
    again = block_class.from_config(block.get_config())
    again(*inputs)
    again.set_weights(block.get_weights())
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (again(*inputs), y)))


def test_initializers_start_the_weights():
    block = ks.layers.TransformerEncoderBlock(
        6, 2, kernel_initializer="ones", bias_initializer=keras.initializers.Constant(2.0)
    )
    block(normal(2, 4, 4))
    for weight in (*block.self_attention.weights, *block.feed_forward.weights):
        expected = 1.0 if "kernel" in weight.path else 2.0
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), expected)


def test_sublayers_of_one_initializer_start_apart():
    block = ks.layers.TransformerDecoderBlock(4, 2)
    block(normal(2, 4, 4), normal(2, 3, 4))
    own, cross = block.self_attention.query_kernel, block.cross_attention.query_kernel
    assert np.abs(ops.convert_to_numpy(own) - ops.convert_to_numpy(cross)).max() > 0.01


@blocks
def test_dropout_acts_in_training_only(block_class):
    block, inputs = block_class(6, 2, dropout=0.5, seed=0), inputs_of(block_class)
    plain, again, training = (
        ops.convert_to_numpy(block(*inputs, training=t)) for t in (False, False, True)
    )
    np.testing.assert_array_equal(plain, again)
    assert np.abs(plain - training).max() > 0.01


def test_the_seeds_of_a_blocks_dropouts_differ():
    block = ks.layers.TransformerDecoderBlock(6, 2, dropout=0.5, seed=7)
    block(*inputs_of(ks.layers.TransformerDecoderBlock))
    parts = (
        block.self_attention,
        block.cross_attention,
        block.feed_forward,
        block.residual_dropout,
    )
    assert len({part.seed for part in parts}) == 4


@blocks
def test_the_weights_of_each_attention_are_dropped_too(block_class):
    block, inputs = block_class(6, 2, dropout=0.5, seed=0), inputs_of(block_class)
    plain = ops.convert_to_numpy(block(*inputs))
    block.residual_dropout.rate = 0.0  # of the sublayers' outputs
    attentions = [block.self_attention, getattr(block, "cross_attention", None)]
    for attention in filter(None, attentions):
        training = ops.convert_to_numpy(block(*inputs, training=True))
        assert np.abs(plain - training).max() > 0.01
        attention.dropout = 0.0  # so that the next one shows
    training = ops.convert_to_numpy(block(*inputs, training=True))
    np.testing.assert_allclose(training, plain, atol=1e-6)


def test_dropout_keeps_the_expectation_of_each_sublayer():
    block = ks.layers.TransformerEncoderBlock(6, 2, normalize_first=True, dropout=0.5, seed=0)
    x = np.ones((3000, 1, 4), "float32")
    block(x)
    for weight in block.feed_forward.weights[:3]:
        weight.assign(np.zeros(weight.shape))
    block.feed_forward.outer_bias.assign(np.ones(4))  # so the sublayer's output is one
    for weight in block.self_attention.weights:
        weight.assign(np.zeros(weight.shape))
    y = ops.convert_to_numpy(block(x, training=True)) - x
    assert set(np.unique(y)) == {0.0, 2.0}  # dropped, or scaled by 1 / (1 - 0.5)
    assert abs(y.mean() - 1) < 5 / np.sqrt(y.size)


def test_the_sublayers_outputs_are_dropped_apart():
    block = ks.layers.TransformerEncoderBlock(6, 2, normalize_first=True, dropout=0.5, seed=0)
    x = np.zeros((50, 1, 4), "float32")
    block(x)
    for sublayer, size in ((block.self_attention, 1.0), (block.feed_forward, 10.0)):
        for weight in sublayer.weights:
            weight.assign(np.zeros(weight.shape))
        sublayer.weights[-1].assign(np.full(4, size))
    y = ops.convert_to_numpy(block(x, training=True))
    assert set(np.unique(y)) == {0.0, 2.0, 20.0, 22.0}


@blocks
def test_features_that_the_heads_cannot_share_are_refused(block_class):
    with pytest.raises(ValueError, match=r"multiple of `num_heads`.*D=5, num_heads=2"):
        block_class(6, 2)(*inputs_of(block_class, features=5))


@blocks
@pytest.mark.parametrize("arguments, named", [
    ({"intermediate_dim": 0}, "`intermediate_dim`.*intermediate_dim=0"),
    ({"num_heads": 1.5}, "`num_heads`.*num_heads=1.5"),
    ({"dropout": 1}, "`dropout`.*dropout=1"),
    ({"normalization": "batch"}, "`normalization`.*'layer' or 'rms'.*'batch'"),
    ({"positions": "learned"}, "`positions` of Transformer.*'rotary'.*'learned'"),
    ({"positions": ["rotary"]}, "`positions` of Transformer.*'rotary'"),
    ({"sliding_window": 0}, "`sliding_window` of Transformer.*sliding_window=0"),
    ({"key_dim": 0}, "`key_dim` of Transformer.*key_dim=0"),
    ({"attention_scale": -1}, "`attention_scale` of Transformer.*attention_scale=-1"),
    ({"use_attention_bias": ["keys"]}, "`use_attention_bias` of Transformer.*'keys'"),
    ({"num_key_value_heads": 3}, "`num_heads` of Transformer.*num_key_value_heads=3"),
    ({"layer_norm_epsilon": 0}, "`layer_norm_epsilon` of Transformer.*layer_norm_epsilon=0"),
])  # fmt: skip
def test_bad_constructor_arguments_are_named(block_class, arguments, named):
    with pytest.raises(ValueError, match=named):
        block_class(**{"intermediate_dim": 6, "num_heads": 2, **arguments})


def test_a_window_of_a_two_sided_block_is_refused():
    with pytest.raises(ValueError, match="`sliding_window` of TransformerEncoderBlock.*causal"):
        ks.layers.TransformerEncoderBlock(6, 2, sliding_window=3)

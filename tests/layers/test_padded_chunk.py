import keras
import numpy as np
import pytest
from keras import ops

from keras_seq.layers import (
    GRU,
    CausalWindow,
    LearnedPositions,
    MultiHeadSelfAttention,
    PositionalEmbedding,
    RotaryEmbedding,
    TransformerEncoderBlock,
)
from keras_seq.layers._padded_chunk import padded_chunk

T, WIDTH, ROOM = 3, 6, 12
LAYERS = {
    "rotary": lambda: RotaryEmbedding(),
    "learned": lambda: LearnedPositions(ROOM),
    "embedding": lambda: PositionalEmbedding(9, 8, ROOM, kind="learned"),
    "attention": lambda: MultiHeadSelfAttention(2, 4, causal=True, positions="rotary"),
    "window": lambda: MultiHeadSelfAttention(
        2, 4, causal=True, positions="alibi", sliding_window=4
    ),
    "short window": lambda: MultiHeadSelfAttention(2, 4, causal=True, sliding_window=2),
    "block": lambda: TransformerEncoderBlock(16, 2, causal=True, positions="rotary"),
    "gru": lambda: GRU(8, return_sequences=True),
    "last inputs": lambda: CausalWindow(4),
}


@pytest.mark.parametrize("count", [0, 1, T])
@pytest.mark.parametrize("name", LAYERS)
def test_a_state_goes_on_after_the_steps_that_there_are(name, count):
    """Of a chunk padded to six steps, and of one without padding after a first step."""
    layer, rng = LAYERS[name](), np.random.default_rng(0)
    if name == "embedding":
        x = ops.convert_to_tensor(rng.integers(0, 9, size=(2, 1 + WIDTH)))
    else:
        x = ops.convert_to_tensor(rng.normal(size=(2, 1 + WIDTH, 8)).astype("float32"))
    layer(x)
    _, state = layer.step(x[:, :1], layer.get_initial_state(2, ROOM))
    mask = np.broadcast_to(np.arange(WIDTH) < count, (2, WIDTH))
    with padded_chunk(ops.convert_to_tensor(count, "int32")):
        y, padded = layer.step(x[:, 1:], state, mask=ops.convert_to_tensor(mask))
    exact = state
    if count:
        right, exact = layer.step(x[:, 1 : 1 + count], state)
        np.testing.assert_allclose(
            *(keras.ops.convert_to_numpy(a) for a in (y[:, :count], right)), atol=1e-5
        )
    for t in range(2):  # what comes after it overwrites the padding
        y, padded = layer.step(x[:, t : t + 1], padded)
        right, exact = layer.step(x[:, t : t + 1], exact)
        np.testing.assert_allclose(*(keras.ops.convert_to_numpy(a) for a in (y, right)), atol=1e-5)

import keras
from keras import layers

from keras_seq import models
from keras_seq.layers import LearnedPositions
from keras_seq.stepping._embeddings import positions, vocabulary_size
from keras_seq.stepping._target_graph import TargetGraph
from tests.generation.generation_models import hybrid, translator


def test_the_encoder_is_context_and_the_decoder_is_not():
    graph = TargetGraph(translator("transformer"))
    context = {call.name for call in graph.context_steps}
    target = {call.name for call in graph.target_calls}
    assert {"encoder_0", "encoder_1", "memory"} <= context
    assert {"decoder_0", "decoder_1", "logits"} <= target
    assert not context & target


def test_the_vocabulary_of_an_input_is_found_at_its_embedding():
    model = translator("gru", 20, 18)
    assert vocabulary_size(model, "source") == 20
    assert vocabulary_size(model, "target") == 18
    assert vocabulary_size(translator("transformer", 20, 18), "source") == 20
    assert vocabulary_size(hybrid(11), "tokens") == 11


def test_the_vocabulary_is_found_inside_a_nested_model():
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    inner = keras.Sequential([keras.Input((None,), dtype="int32"), layers.Embedding(7, 4)])
    assert vocabulary_size(keras.Model(tokens, inner(tokens)), "tokens") == 7


def test_an_input_without_an_embedding_has_no_vocabulary():
    x = keras.Input((None, 4), name="x")
    assert vocabulary_size(keras.Model(x, layers.Dense(2)(x)), "x") is None


def test_the_positions_of_an_input_may_be_added_after_its_embedding():
    assert positions(models.text_to_image(6, 7, 3, (2, 4), 1, 2, 8), "tokens") == 3 + 2 * 4
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = layers.LayerNormalization()(layers.Embedding(5, 4)(tokens))
    x = LearnedPositions(6)(layers.Dropout(0.1)(x))
    assert positions(keras.Model(tokens, x), "tokens") == 6
    x = LearnedPositions(6)(layers.MaxPooling1D(2)(layers.Embedding(5, 4)(tokens)))
    assert positions(keras.Model(tokens, x), "tokens") is None  # of twice as many tokens

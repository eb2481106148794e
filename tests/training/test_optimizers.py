"""What Keras' optimizers bring, gradient accumulation and moving averages, in our trainings."""

import keras
import numpy as np
import pytest

import keras_seq as ks
from keras_seq.training import SmoothedCrossentropy, TokenMean, TruncatedBPTT

V, T = 7, 4
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(1, V, size=(8, T))
LABELS = RNG.integers(1, V, size=(8, T))
LENGTHS = np.array([4, 4, 4, 4, 1, 2, 1, 1])  # so the second half has 5 of 21 tokens
PADDED = np.where(np.arange(T) < LENGTHS[:, None], TOKENS, 0)


def language_model(recurrent=False):
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(V, 4, mask_zero=True)(tokens)
    if recurrent:
        x = ks.layers.GRU(4, return_sequences=True)(x)
    return keras.Model(tokens, keras.layers.Dense(V)(x))


def trained(optimizer, loss, tokens, batch_size):
    keras.utils.set_random_seed(0)
    model = language_model()
    model.compile(optimizer, loss)
    for start in range(0, len(tokens), batch_size):
        rows = slice(start, start + batch_size)
        model.train_on_batch(tokens[rows], LABELS[rows])
    return model.get_weights()


def largest_difference(weights, others):
    return max(np.abs(a - b).max() for a, b in zip(weights, others, strict=True))


def test_accumulated_batches_of_equally_many_tokens_are_one_large_batch():
    loss = SmoothedCrossentropy(0.1)
    large = trained(keras.optimizers.SGD(0.5), loss, TOKENS, 8)
    small = trained(keras.optimizers.SGD(0.5, gradient_accumulation_steps=2), loss, TOKENS, 4)
    assert largest_difference(small, large) < 1e-6


def test_accumulated_batches_of_unequally_many_tokens_are_one_with_a_fixed_divisor():
    def difference(loss_of_large, loss_of_small):
        large = trained(keras.optimizers.SGD(0.5), loss_of_large, PADDED, 8)
        optimizer = keras.optimizers.SGD(0.5, gradient_accumulation_steps=2)
        return largest_difference(trained(optimizer, loss_of_small, PADDED, 4), large)

    loss = SmoothedCrossentropy(0.1)
    assert difference(TokenMean(loss), TokenMean(loss)) > 1e-2  # a mean of means
    # 21 tokens in two batches.
    assert difference(TokenMean(loss), TokenMean(loss, num_tokens=21 / 2)) < 1e-6


def test_the_gradients_of_successive_chunks_are_accumulated():
    def trainer(**options):
        keras.utils.set_random_seed(0)
        result = TruncatedBPTT(language_model(recurrent=True), T, batch_size=2)
        result.compile(keras.optimizers.SGD(0.5, **options), SmoothedCrossentropy(0.1))
        return result

    chunks = [(TOKENS[i : i + 2], LABELS[i : i + 2]) for i in (0, 2)]
    accumulating, plain = trainer(gradient_accumulation_steps=2), trainer()
    start = plain.model.get_weights()
    updates = []
    for chunk in chunks:
        accumulating.train_on_batch(*chunk)
        plain.train_on_batch(*chunk)  # from the carried states, and the weights of the start
        updates.append([a - b for a, b in zip(plain.model.get_weights(), start, strict=True)])
        plain.model.set_weights(start)
    expected = [w + (a + b) / 2 for w, a, b in zip(start, *updates, strict=True)]
    assert largest_difference(accumulating.model.get_weights(), expected) < 1e-6
    assert largest_difference(start, expected) > 1e-3


@pytest.mark.needs_tensorflow(reason="elsewhere the gradients of embeddings are dense")
def test_the_note_of_the_page_on_embeddings_and_adam_holds():
    """Of three equal tokens, Keras adds up 3 g^2, and should square 3 g, as it does accumulated."""
    tokens = np.array([[1, 1, 1, 2]])
    moves = []
    for steps in (None, 2):
        embedding = keras.layers.Embedding(3, 1, embeddings_initializer="zeros")
        model = keras.Sequential([keras.Input((4,), dtype="int32"), embedding])
        adam = keras.optimizers.Adam(0.1, epsilon=1e-12, gradient_accumulation_steps=steps)
        model.compile(adam, lambda y_true, y: keras.ops.sum(y, axis=-1))
        for _ in range(steps or 1):
            model.train_on_batch(tokens, np.zeros((1, 4, 1)))
        moves.append(-embedding.get_weights()[0][:, 0])
    np.testing.assert_allclose(moves, [[0, 0.1 * 3**0.5, 0.1], [0, 0.1, 0.1]], rtol=1e-4)


@pytest.mark.needs_tensorflow(reason="runs that go on are TensorFlow's")
@pytest.mark.parametrize(
    "options, callbacks",
    [
        ({"gradient_accumulation_steps": 3}, list),
        pytest.param({"use_ema": True, "ema_momentum": 0.9}, list, marks=pytest.mark.thorough),
        (
            {"use_ema": True, "ema_momentum": 0.9},
            lambda: [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)],
        ),
    ],
)
def test_a_run_killed_within_an_accumulation_or_average_ends_as_an_unbroken_one(
    options, callbacks, tmp_path
):
    import tensorflow as tf

    from keras_seq.training import resume

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1 and self.params["epochs"] == 3

    data = tf.data.Dataset.from_tensor_slices((TOKENS, LABELS)).batch(2)  # four batches
    results = {}
    for folder, stops in (("whole", [()]), ("broken", [[Stop()], [Stop()], (), ()])):
        for more in stops:
            keras.utils.set_random_seed(0)
            model = language_model()
            model.compile(keras.optimizers.Adam(0.1, **options), SmoothedCrossentropy(0.1))
            given = [*callbacks(), *more]
            history = resume(
                model,
                data,
                tmp_path / folder,
                epochs=3,
                save_every=1,
                validation_data=(TOKENS, LABELS),
                callbacks=given,
                verbose=0,
            )
        results[folder] = [*model.get_weights(), *history.history["val_loss"]]
    assert len(history.history["val_loss"]) == 3
    assert largest_difference(*results.values()) == 0

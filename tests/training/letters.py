"""A tokenizer of letters, a model of pairs of letters, and their training, for the callbacks."""

import keras
import numpy as np

import keras_seq as ks

START, END = 1, 2
LETTERS = "abcdefgh"
V = 3 + len(LETTERS)


class Letters:
    def __init__(self, add_end=False):
        self.add_end = add_end

    def __call__(self, texts):
        return [[3 + LETTERS.index(c) for c in text] + [END] * self.add_end for text in texts]

    def detokenize(self, ids):
        return "".join(LETTERS[i - 3] for i in ids)

    def get_vocabulary(self):
        return ["<pad>", "<s>", "</s>", *LETTERS]

    def vocabulary_size(self):
        return V


def pairs(rate=0.0, learning_rate=1.0):
    """Logits of the next letter from the letter before; one epoch on `data` teaches it."""
    tokens = keras.Input((None,), dtype="int32")
    logits = keras.layers.Embedding(V, V)(tokens)
    model = keras.Model(tokens, keras.layers.Dropout(rate)(logits))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss)
    return model


def alphabet(rows=8):
    """`(x, y)`: <s> a b c ... h and a b c ... h </s>."""
    text = np.tile([START, *range(3, V), END], (rows, 1))
    return text[:, :-1], text[:, 1:]


def generator(model, **options):
    options = {"max_length": V, "start_token": START, "end_token": END, **options}
    # Eager JAX would be slow, and counts no traces.
    jit_compile = keras.backend.backend() != "tensorflow"
    return ks.generation.Generator(model, jit_compile=jit_compile, **options)

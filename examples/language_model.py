"""Train a language model of words on Shakespeare, with states carried from chunk to chunk.

    python examples/language_model.py --data-dir PATH/TO/tfds --download
    python examples/language_model.py --data-dir PATH/TO/tfds --epochs 1 --no-comparison

The model is the small one of Zaremba et al. 2014, two LSTM layers of 200 units on 20 rows of text
in chunks of 20 words, trained by truncated back-propagation through time. It is evaluated on the
validation text twice: with the states carried from chunk to chunk, and with the states reset at
every chunk, as a model does that is trained on chunks as if they were separate texts. Then such a
model is trained for comparison.

One run of the defaults, 2 epochs of 75 to 83 s on two CPU cores (validation perplexity, both models
from the same weights):

                          evaluated: states carried    states reset at every chunk
    trained with states carried          119.2                  165.0
    trained with states reset            174.6                  179.8

Carried states want a small learning rate: at 5e-3 cell states count up unchecked (to thousands) and
the model that carries them learns worse than the one that is reset (193 against 148, one epoch).
"""

import argparse
import collections
import os
import re
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow_datasets as tfds

import keras_seq
from keras_seq.training import TruncatedBPTT, chunks

UNKNOWN, NEWLINE = "<unk>", "\n"


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data-dir", help="where TFDS keeps its datasets")
    add("--download", action="store_true", help="let TFDS download the text if it is not there")
    add("--vocabulary-size", type=int, default=5_000)
    add("--epochs", type=int, default=2)
    add("--rows", type=int, default=20)
    add("--steps", type=int, default=20)
    add("--units", type=int, default=200)
    add("--layers", type=int, default=2)
    add("--dropout", type=float, default=0.1)
    add("--learning-rate", type=float, default=1e-3)
    add("--words", type=int, default=40, help="how many words to generate")
    add("--no-comparison", action="store_true", help="do not train the model that is always reset")
    add("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def load_words(options):
    """Words of the training and of the validation text, lowercased."""
    texts = tfds.load("tiny_shakespeare", data_dir=options.data_dir, download=options.download)
    words = {}
    for split in ("train", "validation"):
        text = b"".join(row["text"] for row in tfds.as_numpy(texts[split])).decode("utf-8")
        words[split] = re.findall(r"[a-z]+(?:'[a-z]+)*|[^a-z\s]|\n", text.lower())
    return words


def make_vocabulary(words, size):
    """The most frequent words, unknown ones as number 0."""
    frequent = collections.Counter(words).most_common(size - 1)
    return [UNKNOWN, *(word for word, _ in frequent)]


def build_model(options, vocabulary_size):
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(vocabulary_size, options.units)(tokens)
    x = keras.layers.Dropout(options.dropout)(x)
    for _ in range(options.layers):
        x = keras_seq.layers.LSTM(options.units, return_sequences=True)(x)
        x = keras.layers.Dropout(options.dropout)(x)
    return keras.Model(tokens, keras.layers.Dense(vocabulary_size)(x))


def reset_at_every_chunk(dataset):
    """The same chunks, each as if it were a text of its own."""

    def mark(inputs, targets):
        first = keras.ops.arange(inputs["reset"].shape[1]) == 0
        return {**inputs, "reset": inputs["reset"] | first}, targets

    return dataset.map(mark)


def train(options, vocabulary_size, dataset, validation, title):
    print(f"\n{title}")
    keras.utils.set_random_seed(options.seed)  # both models start from the same weights
    model = build_model(options, vocabulary_size)
    trainer = TruncatedBPTT(
        model, options.steps, batch_size=options.rows, carry_evaluation=True, name="trainer"
    )
    steps = int(dataset.cardinality()) * options.epochs
    schedule = keras.optimizers.schedules.CosineDecay(options.learning_rate, steps, alpha=0.05)
    trainer.compile(
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=5.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    began = time.perf_counter()
    # The chunks follow each other, so they must not be shuffled.
    trainer.fit(dataset, validation_data=validation, epochs=options.epochs, shuffle=False)
    print(f"Trained {model.count_params():,} weights in {time.perf_counter() - began:.0f} s")
    return trainer


def perplexity(trainer, dataset):
    return float(np.exp(trainer.evaluate(dataset, verbose=0)))


class SampleKnownWords:
    """Draws words from the model's distribution, the unknown word left out."""

    def __init__(self, seed):
        self.seed = keras.random.SeedGenerator(seed)

    def __call__(self, log_probabilities):
        ids = keras.ops.arange(log_probabilities.shape[-1])
        allowed = keras.ops.where(ids == 0, -1e9, log_probabilities)
        tokens = keras.random.categorical(allowed, 1, dtype="int32", seed=self.seed)
        scores = keras.ops.take_along_axis(log_probabilities, tokens, axis=-1)
        return keras.ops.squeeze(tokens, -1), keras.ops.squeeze(scores, -1)


def main(arguments=None):
    options = parse_arguments(arguments)
    keras.utils.set_random_seed(options.seed)
    words = load_words(options)
    vocabulary = make_vocabulary(words["train"], options.vocabulary_size)
    ids = {word: i for i, word in enumerate(vocabulary)}
    data = {}
    for split, text in words.items():
        tokens = np.array([ids.get(word, 0) for word in text])
        print(f"{split}: {len(tokens):,} words, {np.mean(tokens == 0):.1%} unknown")
        data[split] = chunks(tokens, options.rows, options.steps)
    cut = {split: reset_at_every_chunk(dataset) for split, dataset in data.items()}

    carrying = train(
        options,
        len(vocabulary),
        data["train"],
        data["validation"],
        "States carried from chunk to chunk:",
    )
    trained = {"carried": carrying}
    if not options.no_comparison:
        trained["reset"] = train(
            options,
            len(vocabulary),
            cut["train"],
            cut["validation"],
            "States reset at every chunk:",
        )
    print("\nValidation perplexity     states carried   states reset at every chunk")
    for name, trainer in trained.items():
        carried, reset = (perplexity(trainer, d["validation"]) for d in (data, cut))
        print(f"  trained with {name:<9}{carried:18.1f}{reset:30.1f}")

    generator = keras_seq.generation.Generator(
        carrying.model, max_length=options.words, sampler=SampleKnownWords(options.seed)
    )
    prompt = [[ids[word] for word in ("my", "lord", ",")]]
    tokens = keras.ops.convert_to_numpy(generator.generate(prompt=prompt).tokens)[0]
    print("\n" + " ".join(vocabulary[i] for i in tokens))
    return trained


if __name__ == "__main__":
    main()

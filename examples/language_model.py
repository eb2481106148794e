"""Train a language model of words on Shakespeare, with states carried from chunk to chunk.

    python examples/language_model.py --data-dir PATH/TO/tfds --download
    python examples/language_model.py --data-dir PATH/TO/tfds --epochs 1 --no-comparison
    python examples/language_model.py --quick    # tiny models, on sentences made up here

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

Carried states need a small learning rate: at 5e-3 cell states count up unchecked (to thousands) and
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

import keras_seq
from keras_seq.training import TruncatedBPTT, chunks

UNKNOWN = "<unk>"
QUICK = {
    "epochs": 2,
    "rows": 4,
    "steps": 10,
    "units": 16,
    "layers": 1,
    "learning_rate": 1e-2,
    "words": 12,
}


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
    add("--quick", action="store_true", help=f"made-up text, and defaults {QUICK}")
    options = parser.parse_args(arguments)
    if options.quick:  # what the command line names goes before
        parser.set_defaults(**QUICK)
        options = parser.parse_args(arguments)
    return options


def made_up_text(seed, sentences):
    """Lines such as "My lord, the king sees a bird."."""
    rng = np.random.default_rng(seed)
    parts = ("My lord,", "My lady,"), ("the", "a"), ("cat", "king"), ("sees", "hears"), ("a bird.",)
    lines = zip(*(rng.choice(words, sentences) for words in parts), strict=True)
    return "\n".join(" ".join(line) for line in lines)


def load_texts(options):
    """The training and the validation text, by name."""
    if options.quick and options.data_dir is None:
        return {"train": made_up_text(1, 200), "validation": made_up_text(2, 40)}
    import tensorflow_datasets as tfds

    splits = tfds.load("tiny_shakespeare", data_dir=options.data_dir, download=options.download)
    return {
        split: b"".join(row["text"] for row in tfds.as_numpy(splits[split])).decode("utf-8")
        for split in ("train", "validation")
    }


def split_into_words(text):
    """Words, signs and line ends, in lower case."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*|[^a-z\s]|\n", text.lower())


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

    def reset_first_step(inputs, targets):
        first = keras.ops.arange(inputs["reset"].shape[1]) == 0
        return {**inputs, "reset": inputs["reset"] | first}, targets

    return dataset.map(reset_first_step)


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


def write(options, model, vocabulary):
    """Words drawn from the model after "my lord ,", the unknown word left out."""
    ids = {word: i for i, word in enumerate(vocabulary)}
    generator = keras_seq.generation.Generator(
        model,
        max_length=options.words,
        sampler="random",
        banned_tokens=[ids[UNKNOWN]],
    )
    prompt = [[ids.get(word, 0) for word in ("my", "lord", ",")]]
    tokens = generator.generate(prompt=prompt, seed=options.seed).tokens
    return " ".join(vocabulary[i] for i in keras.ops.convert_to_numpy(tokens)[0])


def main(arguments=None):
    options = parse_arguments(arguments)
    keras.utils.set_random_seed(options.seed)
    words = {split: split_into_words(text) for split, text in load_texts(options).items()}
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

    print("\n" + write(options, carrying.model, vocabulary))
    return trained


if __name__ == "__main__":
    main()

"""Draw what a caption says: an image tokenizer, then one Transformer over text and image tokens.

    python examples/text_to_image.py                       # captions of colored shapes
    python examples/text_to_image.py --dataset fashion_mnist --image-size 32 32
    python examples/text_to_image.py --quick               # tiny models, few pictures

After DALL-E (Ramesh et al. 2021). Of 9,216 captions such as "red striped circle top left over
grass", 30 % are trained on, by both models. Greedy decoding draws the pictures of captions that it
has never seen, and one counts if all of its 16 tokens are those of the true picture. The defaults
train for 7 minutes on one CPU core and reach

    whole-picture match, 5,951 unseen captions                  1.000
    whole-picture match of one drawn picture                    1.000    (64 captions)
    whole-picture match of the likeliest of 8                   1.000
    squared error of a picture made of its tokens               0.0011   (657 codes in use)

(The notebook `rainbow_dalle` of dalle-pytorch, with other pictures and as many captions, has 0.49
on unseen captions.) What tokens leave out no model draws: a patch of one blue may come out violet.
Candidates are ordered by `Generator.score`.

`--dataset` takes images with captions, or with classes: the classes' names are the captions then.
"""

import experiment  # isort: skip  (before Keras)

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import keras_seq.data  # registers its datasets
from keras_seq.generation import Generator, RandomSampler

QUICK = {"epochs": 2, "tokenizer_epochs": 2, "tokenizer_dim": 32, "hidden_dim": 32}
QUICK |= {"num_layers": 1, "codes": 64, "candidates": 2}


def arguments(add):
    add("--image-size", type=int, nargs=2, help="height and width to resize images to")
    add("--patch-size", type=int, default=8, help="pixels in height and width of a token")
    add("--codes", type=int, default=1024, help="image tokens to choose from")
    add("--tokenizer-epochs", type=int, default=40)
    add("--tokenizer-dim", type=int, default=256, help="width of the image tokenizer")
    add("--hidden-dim", type=int, default=128, help="width of the Transformer")
    add("--num-layers", type=int, default=2, help="blocks of the Transformer")
    add("--dropout", type=float, default=0.1)
    add("--candidates", type=int, default=8, help="pictures to draw for a caption")


def load_data(options):
    """Images and captions, the captions tokenized into words."""
    if (source := options.dataset) is None:  # --quick
        shapes = keras_seq.data.colored_shapes
        source = shapes.make_splits({"train": 192, "validation": 64, "test": 64})
        for split, texts in source.items():
            images = np.stack([shapes.draw(text) for text in texts])
            source[split] = tf.data.Dataset.from_tensor_slices({"image": images, "text": texts})
    elif "label" in (features := tfds.builder(source, data_dir=options.data_dir).info.features):
        names = tf.constant(features["label"].names)
        source = {
            split: dataset.map(lambda x: {"image": x["image"], "text": names[x["label"]]})
            for split, dataset in tfds.load(source, data_dir=options.data_dir).items()
        }
    named = {n: getattr(options, n) for n in ("data_dir", "image_size", "batch_size", "seed")}
    return keras_seq.data.captions(source, tokenizer="word", **named)


def batches(options, splits, prepare, batch_size):
    """Batches to train on, shuffled, and batches for validation."""
    rows = tf.data.Dataset.from_tensor_slices
    train, validation = rows(splits["train"]), rows(splits["validation"]).batch(batch_size)
    train = train.shuffle(len(train), seed=options.seed).batch(batch_size, drop_remainder=True)
    return train.map(prepare), validation.map(prepare)


def as_floats(pixels):
    return pixels.astype("float32") / 255


def train_tokenizer(options, data):
    """Stage one: images to tokens and back."""
    width = options.tokenizer_dim
    sizes = {"num_layers": 1, "hidden_dim": width, "embedding_dim": width, "kernel_size": 1}
    images = data.image_shape, options.codes, options.patch_size
    tokenizer = keras_seq.models.image_tokenizer(*images, **sizes)
    train, validation = batches(
        options, data.pixels, lambda x: (tf.image.convert_image_dtype(x, "float32"),) * 2, 16
    )
    name, epochs = "image_tokenizer", options.tokenizer_epochs
    rate = keras.optimizers.schedules.CosineDecay(2e-3, len(train) * epochs, alpha=0.01)
    tokenizer.autoencoder.compile(keras.optimizers.Adam(rate), "mse")
    experiment.train(options, tokenizer.autoencoder, train, validation, name=name, epochs=epochs)
    return tokenizer


def encode(data, tokenizer, split):
    """(N, P) texts: start, words, padding, end; and (N, h w) images, whose ids follow the words."""
    pixels, of_image = as_floats(data.pixels[split]), data.image_of[split]
    ids = tokenizer.encoder.predict(pixels, batch_size=500, verbose=0)
    texts = [text for image in data.texts[split] for text in image]
    room = data.text_length  # the start included
    rows = [[data.start_id, *words][:room] for words in data.tokenizer(texts)]
    rows = [[*row, *[data.pad_id] * (room - len(row)), data.end_id] for row in rows]
    return np.array(rows, "int32"), data.vocabulary_size + ids.reshape(len(ids), -1)[of_image]


def decode(data, tokenizer, ids):
    """The pictures (N, H, W, C) of (N, h w) tokens."""
    ids = np.reshape(ids, (-1, *tokenizer.decoder.input_shape[1:])) - data.vocabulary_size
    return tokenizer.decoder.predict(ids, batch_size=500, verbose=0).clip(0, 1)


def train_transformer(options, data, tokenizer, tokens):
    """Stage two: p(text, image), one token after another."""
    P, image_length = (x.shape[1] for x in tokens["train"])
    model = keras_seq.models.text_to_image(
        data.vocabulary_size, options.codes, P, tokenizer.decoder.input_shape[1:],
        num_layers=options.num_layers, hidden_dim=options.hidden_dim,
        intermediate_dim=4 * options.hidden_dim, dropout=options.dropout,
    )  # fmt: skip
    # The mean over the text has the weight 1/8, the mean over the image 7/8 (section 2.2).
    weights = np.repeat([1 / 8 / (P - 1), 7 / 8 / image_length], [P - 1, image_length])

    def prepare(text, image):
        ids = tf.concat([text, image], axis=1)
        labels = ids[:, 1:]
        return ids[:, :-1], labels, tf.ones_like(labels, "float32") * weights

    train, validation = batches(options, tokens, prepare, options.batch_size)
    steps = len(train) * options.epochs
    warm_up, rest = steps // 10, steps * 9 // 10
    rate = experiment.cosine_with_warm_up(options.learning_rate, warm_up + rest, warm_up, 0.01)
    crossentropy = keras.losses.SparseCategoricalCrossentropy
    loss = crossentropy(from_logits=True, reduction="mean_with_sample_weight")
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, global_clipnorm=1.0)
    model.compile(optimizer, loss, weighted_metrics=["accuracy"])
    return model, experiment.train(options, model, train, validation)


def new_tokens(generator, texts, **arguments):
    return np.asarray(generator.generate(prompt=texts, **arguments).tokens)[:, texts.shape[1] :]


def ranked_candidates(generator, texts, count):
    """(N, count, h w): drawn pictures of each text, as they came and with the likeliest first."""
    drawn = np.stack([new_tokens(generator, texts, seed=seed) for seed in range(count)], axis=1)
    scores = [np.asarray(generator.score(ids, prompt=texts).scores) for ids in drawn.swapaxes(0, 1)]
    order = np.argsort(-np.stack(scores, axis=1), axis=1)
    return drawn, np.take_along_axis(drawn, order[..., None], axis=1)


def main():
    defaults = {"dataset": "colored_shapes", "epochs": 15, "batch_size": 64, "learning_rate": 2e-3}
    options = experiment.parse(__doc__, arguments, quick=QUICK, **defaults)
    data = load_data(options)
    print(data)
    tokenizer = train_tokenizer(options, data)
    tokens = {split: encode(data, tokenizer, split) for split in data.pixels}
    model, history = train_transformer(options, data, tokenizer, tokens)

    (texts, ids), pixels = tokens["test"], as_floats(data.pixels["test"])[data.image_of["test"]]
    generation = {"max_length": ids.shape[1], "banned_tokens": range(data.vocabulary_size)}
    greedy = Generator(model, **generation)
    restored = decode(data, tokenizer, ids)
    figures = {
        "codes in use": len(np.unique(tokens["train"][1])),
        "squared error of unseen pictures made of their tokens": np.mean((restored - pixels) ** 2),
    }
    for name, split in (("unseen", "test"), ("seen", "train")):
        given, expected = (x[: len(ids)] for x in tokens[split])
        equal = new_tokens(greedy, given) == expected
        figures[f"whole-picture match, {name} captions"] = equal.all(axis=1).mean()
        figures[f"token match, {name} captions"] = equal.mean()
    texts, ids = texts[:64], ids[:64]
    drawer = Generator(model, sampler=RandomSampler(), **generation)
    drawn, ranked = ranked_candidates(drawer, texts, options.candidates)
    for name, candidates in (("first", drawn), ("likeliest", ranked)):
        equal = (candidates[:, 0] == ids).all(axis=1)
        figures[f"whole-picture match of the {name} of {options.candidates} drawn"] = equal.mean()
    experiment.report(options, figures, seconds=history.seconds)

    shown = ranked[:8, :6]
    drawings = decode(data, tokenizer, shown).reshape(*shown.shape[:2], *data.image_shape)
    images = np.concatenate([np.stack([pixels[:8], restored[:8]], axis=1), drawings], axis=1)
    headers = ["true", "its tokens", *(f"drawn, {i + 1}." for i in range(shown.shape[1]))]
    captions = [text for image in data.texts["test"] for text in image][:8]
    path = options.output / "pictures.png"
    keras_seq.plots.image_grid(images, captions, headers, path=path)
    print(f"Saved {path}")

    prompt = {"prompt": texts, "prompt_length": texts.shape[1]}
    experiment.export(options, greedy, name="text_to_tokens", **prompt)
    codes = ids.reshape(-1, *tokenizer.decoder.input_shape[1:]) - data.vocabulary_size
    name = "tokens_to_image"
    experiment.export(options, tokenizer.decoder, inputs=codes, name=name, saved_model=f"{name}/1")


if __name__ == "__main__":
    main()

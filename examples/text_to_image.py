"""Draw what a caption says: an image tokenizer, then one Transformer over text and image tokens.

    python examples/text_to_image.py                       # captions of colored shapes
    python examples/text_to_image.py --dataset fashion_mnist --image-size 32 32
    python examples/text_to_image.py --quick               # tiny models, few pictures

After DALL-E (Ramesh et al. 2021). Of 9,216 captions such as "red striped circle top left over
grass", 30 % are trained on, by both models. Greedy decoding draws the pictures of captions that it
has never seen, and one counts if all of its 16 tokens are those of the true picture. The defaults
train for 7 minutes on one CPU core and reach

    whole-picture match, 5,951 unseen captions                  1.000
    whole-picture match of one drawn picture                    0.984    (64 captions)
    whole-picture match of the likeliest of 8                   1.000
    squared error of a picture made of its tokens               0.0016   (446 codes in use)

(The notebook `rainbow_dalle` of dalle-pytorch, with other pictures and as many captions, has 0.49
on unseen captions.) What tokens leave out no model draws: see `pictures.png`, and `--codes 1024`.
Candidates are ordered by `Generator.score`.

`--dataset` takes images with captions, or with classes: the classes' names are the captions then.
"""

import experiment  # isort: skip  (before Keras)

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import keras_seq
from keras_seq.data import colored_shapes
from keras_seq.generation import Generator, RandomSampler

QUICK = {
    "epochs": 2,
    "tokenizer_epochs": 2,
    "tokenizer_dim": 32,
    "hidden_dim": 32,
    "num_layers": 1,
    "codes": 64,
    "candidates": 2,
}


def arguments(add):
    add("--image-size", type=int, nargs=2, help="height and width to resize images to")
    add("--patch-size", type=int, default=8, help="pixels in height and width of a token")
    add("--codes", type=int, default=512, help="image tokens to choose from")
    add("--tokenizer-epochs", type=int, default=40)
    add("--tokenizer-dim", type=int, default=256, help="width of the image tokenizer")
    add("--hidden-dim", type=int, default=128, help="width of the Transformer")
    add("--num-layers", type=int, default=2, help="blocks of the Transformer")
    add("--dropout", type=float, default=0.1)
    add("--candidates", type=int, default=8, help="pictures to draw for a caption")


def load_data(options):
    """Images and captions, the captions tokenized into words."""
    source, data_dir = options.dataset, options.data_dir
    if source is None:  # --quick
        splits = colored_shapes.make_splits({"train": 192, "validation": 64, "test": 64})
        source = {
            split: tf.data.Dataset.from_tensor_slices(
                {"image": np.stack([colored_shapes.draw(text) for text in texts]), "text": texts}
            )
            for split, texts in splits.items()
        }
    elif "label" in (features := tfds.builder(source, data_dir=data_dir).info.features):
        names = tf.constant(features["label"].names)
        source = {
            split: dataset.map(lambda x: {"image": x["image"], "text": names[x["label"]]})
            for split, dataset in tfds.load(source, data_dir=data_dir).items()
        }
    return keras_seq.data.captions(
        source, data_dir=data_dir, tokenizer="word", image_size=options.image_size,
        batch_size=options.batch_size, seed=options.seed,
    )  # fmt: skip


def batches(options, arrays, prepare, split, batch_size):
    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    if split == "train":
        dataset = dataset.shuffle(len(arrays[0]), seed=options.seed)
    return dataset.batch(batch_size, drop_remainder=split == "train").map(prepare)


def as_floats(pixels):
    return pixels.astype("float32") / 255


def train_tokenizer(options, data):
    """Stage one: images to tokens and back."""
    tokenizer = keras_seq.models.image_tokenizer(
        data.image_shape,
        vocabulary_size=options.codes,
        patch_size=options.patch_size,
        num_layers=1,
        hidden_dim=options.tokenizer_dim,
        embedding_dim=options.tokenizer_dim,
        kernel_size=1,
    )

    def prepare(pixels):
        return (tf.image.convert_image_dtype(pixels, "float32"),) * 2

    train, validation = (
        batches(options, (data.pixels[split],), prepare, split, batch_size=16)
        for split in ("train", "validation")
    )
    steps = int(train.cardinality()) * options.tokenizer_epochs
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps, alpha=0.01)
    tokenizer.autoencoder.compile(keras.optimizers.Adam(rate), "mse")
    usage = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(
            codebook_usage=float(tokenizer.autoencoder.get_layer("quantizer").codebook_usage())
        )
    )
    experiment.train(
        options, tokenizer.autoencoder, train, validation, callbacks=[usage],
        name="image_tokenizer", epochs=options.tokenizer_epochs,
    )  # fmt: skip
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


def decode(options, data, tokenizer, ids):
    """The pictures (N, H, W, C) of (N, h w) tokens."""
    side = [n // options.patch_size for n in data.image_shape[:2]]
    ids = np.reshape(ids, (-1, *side)) - data.vocabulary_size
    return tokenizer.decoder.predict(ids, batch_size=500, verbose=0).clip(0, 1)


def train_transformer(options, data, tokens):
    """Stage two: p(text, image), one token after another."""
    P, image_length = (x.shape[1] for x in tokens["train"])
    model = keras_seq.models.text_to_image(
        data.vocabulary_size,
        options.codes,
        text_length=P,
        image_size=[n // options.patch_size for n in data.image_shape[:2]],
        num_layers=options.num_layers,
        hidden_dim=options.hidden_dim,
        intermediate_dim=4 * options.hidden_dim,
        dropout=options.dropout,
    )
    # The mean over the text has the weight 1/8, the mean over the image 7/8 (section 2.2).
    weights = np.repeat([1 / 8 / (P - 1), 7 / 8 / image_length], [P - 1, image_length])

    def prepare(text, image):
        ids = tf.concat([text, image], axis=1)
        labels = ids[:, 1:]
        return ids[:, :-1], labels, tf.ones_like(labels, "float32") * weights

    train, validation = (
        batches(options, tokens[split], prepare, split, options.batch_size)
        for split in ("train", "validation")
    )
    steps = int(train.cardinality()) * options.epochs
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps * 9 // 10, alpha=0.01, warmup_target=options.learning_rate,
        warmup_steps=steps // 10,
    )  # fmt: skip
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
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
    options = experiment.parse(
        __doc__, arguments, quick=QUICK, dataset="colored_shapes", epochs=15, batch_size=64,
        learning_rate=2e-3,
    )  # fmt: skip
    data = load_data(options)
    print(data)
    tokenizer = train_tokenizer(options, data)
    tokens = {split: encode(data, tokenizer, split) for split in data.pixels}
    model, history = train_transformer(options, data, tokens)

    (texts, ids), pixels = tokens["test"], as_floats(data.pixels["test"])[data.image_of["test"]]
    generation = {"max_length": ids.shape[1], "banned_tokens": range(data.vocabulary_size)}
    greedy = Generator(model, **generation)
    restored = decode(options, data, tokenizer, ids)
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
    drawings = decode(options, data, tokenizer, shown).reshape(*shown.shape[:2], *data.image_shape)
    images = np.concatenate([np.stack([pixels[:8], restored[:8]], axis=1), drawings], axis=1)
    headers = ["true", "its tokens", *(f"drawn, {i + 1}." for i in range(shown.shape[1]))]
    captions = [text for image in data.texts["test"] for text in image][:8]
    path = options.output / "pictures.png"
    keras_seq.plots.image_grid(images, captions, headers, path=path)
    print(f"Saved {path}")

    prompt = {"prompt": texts, "prompt_length": texts.shape[1]}
    experiment.export(options, greedy, name="text_to_tokens", **prompt)
    codes = ids.reshape(-1, *tokenizer.decoder.input_shape[1:]) - data.vocabulary_size
    experiment.export(
        options, tokenizer.decoder, inputs=codes, name="tokens_to_image",
        saved_model="tokens_to_image/1",
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""Draw what a caption says: an image tokenizer, then one Transformer over text and image tokens.

    python examples/text_to_image.py                       # captions of colored shapes
    python examples/text_to_image.py --dataset fashion_mnist --image-size 32 32
    python examples/text_to_image.py --quick               # tiny models, few pictures

After DALL-E (Ramesh et al. 2021). Of 9,216 captions such as "red striped circle top left over
grass", 30 % are trained on. Greedy decoding draws the pictures of captions that it has never seen,
and a picture counts if all of its 16 tokens are those of the true one. (For the notebook
`rainbow_dalle` of dalle-pytorch, with as many captions and tokens, that is 0.49.) Then several
candidates are drawn for a caption, and ordered by `Generator.score`.

`--dataset` takes the name of images with captions, or of images with classes, whose names are the
captions then.
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
    "hidden_dim": 32,
    "num_layers": 1,
    "codes": 64,
    "candidates": 2,
}


def arguments(add):
    add("--image-size", type=int, nargs=2, help="height and width to resize images to")
    add("--patch-size", type=int, default=8, help="pixels in height and width of a token")
    add("--codes", type=int, default=512, help="image tokens to choose from")
    add("--tokenizer-epochs", type=int, default=30)
    add("--hidden-dim", type=int, default=128, help="width of both models")
    add("--num-layers", type=int, default=2, help="blocks of the Transformer")
    add("--dropout", type=float, default=0.1)
    add("--candidates", type=int, default=8, help="pictures to draw for a caption")


def load_data(options):
    """Images and captions, the captions tokenized into words."""
    source = options.dataset
    if source is None:  # --quick
        splits = colored_shapes.make_splits({"train": 256, "validation": 64, "test": 64})
        source = {
            split: tf.data.Dataset.from_tensor_slices(
                {"image": np.stack([colored_shapes.draw(text) for text in texts]), "text": texts}
            )
            for split, texts in splits.items()
        }
    elif "label" in (features := tfds.builder(source, data_dir=options.data_dir).info.features):
        names = tf.constant(features["label"].names)
        source = {
            split: dataset.map(lambda x: {"image": x["image"], "text": names[x["label"]]})
            for split, dataset in tfds.load(source, data_dir=options.data_dir).items()
        }
    return keras_seq.data.captions(
        source,
        data_dir=options.data_dir,
        tokenizer="word",
        image_size=options.image_size and tuple(options.image_size),
        batch_size=options.batch_size,
        seed=options.seed,
    )


def batches(options, arrays, prepare=lambda *x: x, shuffle=True):
    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    if shuffle:
        dataset = dataset.shuffle(len(arrays[0]), seed=options.seed)
    return dataset.batch(options.batch_size, drop_remainder=shuffle).map(prepare).prefetch(2)


def train_tokenizer(options, data):
    """Stage one: images to tokens and back."""
    tokenizer = keras_seq.models.image_tokenizer(
        data.image_shape,
        vocabulary_size=options.codes,
        patch_size=options.patch_size,
        hidden_dim=options.hidden_dim,
    )
    train, validation = (
        batches(options, (data.pixels[split],), as_floats, shuffle=split == "train")
        for split in ("train", "validation")
    )
    steps = int(train.cardinality()) * options.tokenizer_epochs
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps, alpha=0.01)
    tokenizer.autoencoder.compile(keras.optimizers.Adam(rate), "mse")
    arguments = {"name": "image_tokenizer", "epochs": options.tokenizer_epochs}
    experiment.train(options, tokenizer.autoencoder, train, validation, **arguments)
    tokenizer.encoder.save(options.output / "image_encoder.keras")
    tokenizer.decoder.save(options.output / "image_decoder.keras")
    return tokenizer


def as_floats(pixels):
    images = tf.image.convert_image_dtype(pixels, "float32")
    return images, images


def prompts(data, texts):
    """(N, P) ids: start, words, padding, and the end of the text, which begins the image."""
    rows = [[data.start_id, *ids][: data.text_length] for ids in data.tokenizer(texts)]
    rows = [row + [data.pad_id] * (data.text_length - len(row)) for row in rows]
    return np.array([[*row, data.end_id] for row in rows], "int32")


def encode(options, data, tokenizer, split):
    """Prompts and image tokens of a split, (N, P) and (N, h w); the latter come after all words."""
    texts, pixels = data.texts[split], data.pixels[split]
    ids = [
        keras.ops.convert_to_numpy(tokenizer.encoder(as_floats(pixels[i : i + 500])[0]))
        for i in range(0, len(pixels), 500)
    ]
    ids = np.concatenate(ids).reshape(len(pixels), -1) + data.vocabulary_size
    of_image = data.image_of[split]
    return prompts(data, [text for image in texts for text in image]), ids[of_image]


def train_transformer(options, data, tokens):
    """Stage two: p(text, image), one token after another."""
    P, image_length = (x.shape[1] for x in tokens["train"])
    side = int(data.image_shape[0] // options.patch_size), data.image_shape[1] // options.patch_size
    model = keras_seq.models.text_to_image(
        data.vocabulary_size,
        options.codes,
        text_length=P,
        image_size=side,
        num_layers=options.num_layers,
        hidden_dim=options.hidden_dim,
        intermediate_dim=4 * options.hidden_dim,
        dropout=options.dropout,
    )
    # The mean over text has the weight 1/8, the mean over the image 7/8 (section 2.2).
    weights = np.repeat([1 / 8 / (P - 1), 7 / 8 / image_length], [P - 1, image_length])

    def shifted(prompt, image):
        ids = tf.concat([prompt, image], axis=1)
        labels = ids[:, 1:]
        return ids[:, :-1], labels, tf.ones_like(labels, "float32") * weights

    train, validation = (
        batches(options, tokens[split], shifted, shuffle=split == "train")
        for split in ("train", "validation")
    )
    steps = int(train.cardinality()) * options.epochs
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps * 9 // 10, alpha=0.01, warmup_target=options.learning_rate,
        warmup_steps=steps // 10,
    )  # fmt: skip
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=["accuracy"],
    )
    history = experiment.train(options, model, train, validation, monitor="val_loss")
    return model, history


def match(generator, prompts, image_ids):
    """Fractions of pictures, and of tokens, that are those of the true pictures."""
    equal = [
        np.asarray(generator.generate(prompt=rows).tokens)[:, rows.shape[1] :] == ids
        for rows, ids in zip(
            np.array_split(prompts, 12), np.array_split(image_ids, 12), strict=True
        )
    ]
    equal = np.concatenate(equal)
    return equal.all(axis=1).mean(), equal.mean()


def ranked_candidates(options, model, prompts, ids, generation):
    """(R, N, h w): N drawn pictures for each prompt, the likeliest first; matches of both ends."""
    drawer = Generator(model, sampler=RandomSampler(), **generation)
    drawn, scores = [], []
    for seed in range(options.candidates):
        new = np.asarray(drawer.generate(prompt=prompts, seed=seed).tokens)[:, prompts.shape[1] :]
        drawn.append(new)
        scores.append(np.asarray(drawer.score(new, prompt=prompts).scores))
    drawn, order = np.stack(drawn, axis=1), np.argsort(-np.stack(scores, axis=1), axis=1)
    ranked = np.take_along_axis(drawn, order[..., None], axis=1)
    first, best = ((x[:, 0] == ids).all(axis=1).mean() for x in (drawn, ranked))
    return ranked, {"first candidate": first, "best of the candidates by score": best}


def main():
    options = experiment.parse(
        __doc__, arguments, quick=QUICK, dataset="colored_shapes", epochs=40, batch_size=64,
        learning_rate=2e-3,
    )  # fmt: skip
    data = load_data(options)
    print(data)
    tokenizer = train_tokenizer(options, data)
    tokens = {split: encode(options, data, tokenizer, split) for split in data.pixels}
    print(f"{len(np.unique(tokens['train'][1]))} of {options.codes} codes are in use")
    model, history = train_transformer(options, data, tokens)
    generation = {
        "max_length": tokens["test"][1].shape[1],
        "banned_tokens": range(data.vocabulary_size),
    }
    greedy = Generator(model, **generation)
    figures = {}
    for name, split in (("unseen captions", "test"), ("seen captions", "train")):
        pictures, single = match(greedy, *tokens[split])
        figures.update({f"whole-picture match, {name}": pictures, f"token match, {name}": single})
    some = slice(0, 64)
    texts, ids = (x[some] for x in tokens["test"])
    _ranked, matches = ranked_candidates(options, model, texts, ids, generation)
    figures.update({f"whole-picture match of the {k}": v for k, v in matches.items()})
    experiment.report(options, figures, seconds=history.seconds)


if __name__ == "__main__":
    main()

"""Train a captioner: an image goes in once, words come out, each with where it looks.

    python examples/caption.py                           # scenes made from Fashion-MNIST
    python examples/caption.py --cell transformer
    python examples/caption.py --dataset PATH/TO/FOLDER --image-size 64 --tokenizer subword
    python examples/caption.py --quick                   # seconds, on patterns made up here

Convolutions turn a scene of 64 x 64 pixels into 4 x 4 places. A GRU that starts from the mean of
all places writes the caption ("a sneaker left of a bag, above a coat") and attends to the places
before each word (Xu et al. 2015). In training half of its state is dropped where the word is
chosen, so that words follow what is seen rather than what was said before.

What kinds of garments a test scene has were never together in a training scene, in no arrangement,
and no image of a garment is in two splits. Exact match counts captions that are right in every
word. The weights that did best on the validation split are kept, and the test split is read once.

`attention_0.png`, ... show test scenes, a panel a word.
"""

import experiment  # first: it quiets TensorFlow's log
import keras
import numpy as np
import tensorflow as tf

import keras_seq

QUICK = {
    "epochs": 3,
    "batch_size": 16,
    "train_examples": 192,
    "filters": [8, 16, 32, 32],
    "hidden_dim": 32,
    "learning_rate": 1e-2,
}


def arguments(add):
    add("--cell", choices=("gru", "lstm", "transformer"), default="gru", help="of the decoder")
    add("--filters", type=int, nargs="+", default=[48, 96, 192, 192], help="of the convolutions")
    add("--hidden-dim", type=int, default=128, help="width of the decoder")
    add("--layers", type=int, default=1, help="of the decoder")
    add("--dropout", type=float, default=0.2)
    add("--state-dropout", type=float, help="of the state, where words are chosen")
    add("--shift", type=int, default=3, help="pixels by which training images move at most")
    add("--image-size", type=int, help="resize images to so many pixels a side")
    add("--tokenizer", default="word", help="a kind of keras_seq.data.train_tokenizer")
    add("--train-examples", type=int, help="train on so many images only")
    add("--pictures", type=int, default=4, help="test images to draw the attention of")


def made_up_scenes(options):
    """Scenes as in `fashion_scenes`, of squares instead of garments, ten patterns of them."""
    patterns = np.random.default_rng(0).integers(0, 2, (10, 7, 7)).astype("uint8")
    images = 255 * np.kron(patterns, np.ones((1, 4, 4), "uint8"))[..., np.newaxis]
    sizes = {"train": options.train_examples, "validation": 32, "test": 32}
    splits = keras_seq.data.fashion_scenes.make_splits(
        dict.fromkeys(sizes, (images, np.arange(10))), sizes, options.seed
    )
    return {
        name: tf.data.Dataset.from_tensor_slices({"image": scenes, "text": texts})
        for name, (scenes, texts) in splits.items()
    }


def load_data(options):
    return keras_seq.data.captions(
        options.dataset or made_up_scenes(options),
        data_dir=options.data_dir,
        image_size=options.image_size and (options.image_size, options.image_size),
        tokenizer=options.tokenizer,
        batch_size=options.batch_size,
        train_examples=options.train_examples,
        seed=options.seed,
    )


def for_captioner(options, dataset, training=False):
    """Batches under the names of the model's inputs; in training, scenes are moved at random."""

    def rename(step, batch):
        inputs, labels, weights = batch
        image = inputs["image"]
        if training:
            image = experiment.shifted(image, options.shift, [options.seed, tf.cast(step, "int32")])
        return {"image": image, "target": inputs["text"]}, labels, weights

    return experiment.map_steps(dataset, rename)


def build_model(options, data, steps):
    model = keras_seq.models.captioner(
        data.vocabulary_size,
        data.image_shape,
        cell=options.cell,
        filters=options.filters,
        num_layers=options.layers,
        hidden_dim=options.hidden_dim,
        intermediate_dim=2 * options.hidden_dim,
        sequence_length=data.text_length,
        dropout=options.dropout,
        state_dropout=options.state_dropout,
    )
    rate = experiment.cosine_with_warm_up(options.learning_rate, steps, max(1, steps // 20))
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=["accuracy"],
    )
    return model


def floats(pixels):
    return pixels / np.float32(np.iinfo(pixels.dtype).max)


def write_captions(generator, data, pixels, rows=250):
    """Token ids (N, T) and texts of images, `rows` of them at a time."""
    batches = [floats(pixels[i : i + rows]) for i in range(0, len(pixels), rows)]
    tokens = np.concatenate([np.asarray(generator.generate(batch).tokens) for batch in batches])
    special = (data.pad_id, data.start_id, data.end_id)
    texts = [data.tokenizer.detokenize([t for t in row if t not in special]) for row in tokens]
    return tokens, [str(text) for text in texts]


def draw_attention(options, model, data, tokens, pixels):
    """Where the model looked for each word that it wrote, one picture an image."""
    for i, (row, image) in enumerate(zip(tokens, floats(pixels), strict=True)):
        words = [data.tokenizer.id_to_token(int(t)) for t in row if t != data.pad_id]
        target = np.array([[data.start_id, *row[: len(words) - 1]]])
        inputs = {"image": image[np.newaxis], "target": target}
        *_, scores = keras_seq.inspection.attention_scores(model, inputs).values()
        weights = scores[0].mean(axis=0)  # (T, S), the mean of the heads
        height, width = (-(-side // 2 ** len(options.filters)) for side in image.shape[:2])
        keras_seq.plots.image_attention(
            np.repeat(image[np.newaxis], len(words), axis=0),
            weights.reshape(-1, height, width),
            titles=words,
            path=options.output / f"attention_{i}.png",
        )
    print(f"Saved {options.output}/attention_0.png, ...")


def main(command_line=None):
    options = experiment.parse(
        __doc__,
        arguments,
        quick=QUICK,
        without=("pictures",),
        command_line=command_line,
        dataset="fashion_scenes",
        epochs=7,
        batch_size=32,
        learning_rate=2e-3,
    )
    experiment.fill_in(options, {"state_dropout": 0.0 if options.cell == "transformer" else 0.5})
    data = load_data(options)
    print(data)
    with experiment.strategy(options).scope():
        model = build_model(options, data, options.epochs * len(data.train))
    train = for_captioner(options, data.train, training=True)
    validation = for_captioner(options, data.validation)
    history = experiment.train(options, model, train, validation, monitor="val_accuracy")

    generator = keras_seq.generation.Generator(
        model, max_length=data.text_length, start_token=data.start_id, end_token=data.end_id
    )
    pixels, references = data.pixels["test"], data.texts["test"]
    tokens, texts = write_captions(generator, data, pixels)
    right = [text in captions for text, captions in zip(texts, references, strict=True)]
    experiment.report(
        options,
        {
            "exact match": np.mean(right),
            "validation accuracy": max(history.history["val_accuracy"]),
        },
        weights=model.count_params(),
        seconds=history.seconds,
    )
    print("\nTest images, captioned:")
    for text, captions, is_right in list(zip(texts, references, right, strict=True))[:8]:
        print(f"  {text}" + ("" if is_right else f"   (expected {captions[0]})"))
    draw_attention(options, model, data, tokens[: options.pictures], pixels[: options.pictures])
    experiment.export(options, generator, inputs=floats(pixels[:100]))
    return np.mean(right)


if __name__ == "__main__":
    main()

"""Train a detector that gives a set of boxes at once (DETR), on scenes of digits, on a CPU.

    python examples/detect.py
    python examples/detect.py --dataset voc/2007 --image-size 96 --queries 50
    python examples/detect.py --quick    # seconds, on rectangles made up here

The scenes, the dataset `digit_scenes`, hold one to four digits of MNIST, of several sizes and
anywhere. Convolutions and an encoder read a scene; a decoder turns ten learned queries into ten
boxes with a class each, or "no digit" (Carion et al. 2020). In training each digit is matched with
the one query that suits it best, and the others learn to say "no digit", so nothing is filtered;
after 12 epochs some digits are still found twice. Those of test scenes are from MNIST's test split.

AP50 is the average precision at an overlap of one half, as COCO defines it, averaged over classes:
0.946 on the 2,000 test scenes after 12 epochs; AP75, at three quarters, is 0.907.
`detections.png` shows test scenes with what was found (lines) and what is there (dashes).

Any TFDS dataset with `image` and `objects` (`bbox`, `label`) can be used, such as COCO or VOC.
"""

import experiment  # first: it quiets TensorFlow's log
import keras
import numpy as np
import tensorflow as tf

import keras_seq.data  # registers its datasets
from keras_seq.training import SetPrediction, average_precision

QUICK = {
    "epochs": 12,
    "learning_rate": 5e-3,
    "batch_size": 16,
    "layers": 1,
    "size": 32,
    "image_size": 32,
    "queries": 4,
    "objects": 2,
}


def arguments(add):
    add("--image-size", type=int, default=64, help="images are resized to this square")
    add("--queries", type=int, default=10, help="boxes that the model can give")
    add("--objects", type=int, default=8, help="images with more objects are left out")
    add("--layers", type=int, default=2, help="of the encoder, and of the decoder")
    add("--heads", type=int, default=4)
    add("--size", type=int, default=64, help="width of the model")
    add("--dropout", type=float, default=0.0)
    add("--train-examples", type=int, help="train on so many images only")
    add("--pictures", type=int, default=12, help="test images in detections.png")


def made_up(seed, size, sizes=(("train", 256), ("validation", 32), ("test", 32))):
    """Images with one or two rectangles, bright (class 1) or dim (class 0)."""
    random = np.random.default_rng(seed)
    splits = {}
    for split, count in sizes:
        images = np.zeros((count, size, size, 1), "uint8")
        boxes, labels = np.zeros((count, 2, 4), "float32"), np.full((count, 2), -1)
        for i, image in enumerate(images):
            for k in range(random.integers(1, 3)):  # the first one on the left
                labels[i, k] = random.integers(2)
                height, width = random.integers(size // 4, size // 2, 2)
                top = random.integers(size - height)
                left = k * size // 2 + random.integers(size // 2 - width + 1)
                image[top : top + height, left : left + width] = (100, 255)[labels[i, k]]
                boxes[i, k] = np.array([top, left, top + height, left + width]) / size
        objects = {"bbox": boxes, "label": labels}
        splits[split] = tf.data.Dataset.from_tensor_slices({"image": images, "objects": objects})
    return splits, ("dim", "bright")


def load_splits(options):
    """Dict from split to a dataset of examples, and the names of the classes."""
    if options.dataset is None:
        return made_up(options.seed, options.image_size)
    import tensorflow_datasets as tfds

    builder = tfds.builder(options.dataset, data_dir=options.data_dir)
    builder.download_and_prepare()
    splits = {split: builder.as_dataset(split=split) for split in builder.info.splits}
    return splits, builder.info.features["objects"].feature["label"].names


def prepared(examples, options):
    """Images (I, H, W, C) uint8, and the objects of each: labels (I, M), boxes (I, M, 4)."""
    size = (options.image_size, options.image_size)

    def prepare(example):
        image, objects = example["image"], example["objects"]
        if image.shape[:2] != size:
            image = tf.cast(tf.round(tf.image.resize(image, size, antialias=True)), "uint8")
        top, left, bottom, right = tf.unstack(objects["bbox"], axis=-1)
        center = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
        return image, tf.cast(objects["label"], "int32"), tf.stack(center, axis=-1)

    def has_few(example):
        return tf.shape(example["objects"]["label"])[0] <= options.objects

    shapes = ([*size, None], [options.objects], [options.objects, 4])
    padding = (np.uint8(0), -1, np.float32(0.5))
    batches = examples.filter(has_few).map(prepare).padded_batch(1024, shapes, padding)
    images, labels, boxes = map(np.concatenate, zip(*batches.as_numpy_iterator(), strict=True))
    return images, {"labels": labels, "boxes": boxes}


def batched(images, objects, options, shuffle=False):
    """Batches of images in 0 to 1 with their objects."""

    def to_floats(images, objects):
        return tf.image.convert_image_dtype(images, "float32"), objects

    dataset = tf.data.Dataset.from_tensor_slices((images, objects))
    if shuffle:
        dataset = dataset.shuffle(len(images), seed=options.seed)
    return dataset.batch(options.batch_size, drop_remainder=shuffle).map(to_floats).prefetch(2)


def build_model(options, channels, num_classes):
    return keras_seq.models.set_detector(
        (options.image_size, options.image_size, channels),
        num_classes,
        num_queries=options.queries,
        num_layers=options.layers,
        num_heads=options.heads,
        hidden_dim=options.size,
        intermediate_dim=2 * options.size,
        filters=(options.size // 2, options.size, options.size),
        dropout=options.dropout,
        auxiliary_outputs=True,
    )


def make_optimizer(options, steps):
    """AdamW, its learning rate growing for a twentieth of the steps, then falling to zero."""
    rate = experiment.cosine_with_warm_up(options.learning_rate, steps, max(1, steps // 20))
    return keras.optimizers.AdamW(rate, weight_decay=1e-4, global_clipnorm=1.0)


def find(detector, images):
    """What the detector finds in images of integers: boxes, and the likeliest class of each."""
    outputs = detector.predict(images / np.float32(255), batch_size=100, verbose=0)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(outputs["logits"]))[..., :-1]
    scores = probabilities.max(axis=-1)
    return {"boxes": outputs["boxes"], "labels": probabilities.argmax(-1), "scores": scores}


def main(command_line=None):
    options = experiment.parse(
        __doc__,
        arguments,
        quick=QUICK,
        without=("pictures",),
        command_line=command_line,
        dataset="digit_scenes",
        epochs=12,
        batch_size=32,
        learning_rate=1e-3,
    )
    splits, class_names = load_splits(options)
    data = {split: prepared(examples, options) for split, examples in splits.items()}
    if options.train_examples:
        images, objects = data["train"]
        keep = slice(options.train_examples)
        data["train"] = images[keep], {name: values[keep] for name, values in objects.items()}
    for split, (images, objects) in data.items():
        print(f"{split}: {len(images):,} images, {(objects['labels'] >= 0).sum():,} objects")

    train = batched(*data["train"], options, shuffle=True)
    with experiment.strategy(options).scope():
        model = build_model(options, data["train"][0].shape[-1], len(class_names))
        trainer = SetPrediction(model)
        trainer.compile(make_optimizer(options, options.epochs * len(train)))
    history = experiment.train(options, trainer, train, batched(*data["validation"], options))

    detector = keras.Model(model.input, {n: model.output[n] for n in ("logits", "boxes")})
    figures = {}
    for split in ("validation", "test"):
        images, objects = data[split]
        found = find(detector, images)
        for name, threshold in {"AP50": 0.5, "AP75": 0.75}.items():
            by_class = average_precision(found, objects, threshold)
            figures[f"{split} {name}"] = np.mean(list(by_class.values()))
    experiment.report(options, figures, weights=model.count_params(), seconds=history.seconds)
    few, path = slice(options.pictures), options.output / "detections.png"
    keras_seq.plots.detections(
        images[few],
        {name: values[few] for name, values in found.items()},
        true={name: values[few] for name, values in objects.items()},
        class_names=class_names,
        path=path,
    )
    print(f"Saved {path}")
    experiment.export(options, detector, inputs=images[:4] / np.float32(255))
    return detector, figures


if __name__ == "__main__":
    main()

"""The labeled images of another TFDS dataset, from which a dataset is composed."""

import numpy as np
import tensorflow_datasets as tfds

VALIDATION = 6_000  # images, the last ones of the source's train split


def read_source_images(name, data_dir):
    """Reads a dataset of images; downloads it where it is missing.

    Args:
        name: of a TFDS dataset with the splits `train` and `test`, and images of one size.
        data_dir: where TFDS keeps its datasets.

    Returns:
        Dict from `train`, `validation` and `test` to `(images (N, H, W, C) uint8, labels (N,))`.
        No image is in two of them.
    """
    builder = tfds.builder(name, data_dir=data_dir)
    builder.download_and_prepare()
    slices = {
        "train": f"train[:-{VALIDATION}]",
        "validation": f"train[-{VALIDATION}:]",
        "test": "test",
    }
    sources = {}
    for split, source in slices.items():
        # In the order of the files, which is the same on every machine.
        whole = tfds.as_numpy(builder.as_dataset(split=source, batch_size=-1))
        sources[split] = np.asarray(whole["image"]), np.asarray(whole["label"])
    return sources

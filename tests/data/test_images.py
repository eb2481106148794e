import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_seq.data import captions, images
from tests.data.conftest import SHARED

N = 100
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 4, 6, 3)).astype("uint8")
LABELS = np.arange(N) % 5


def dataset(pixels=PIXELS, labels=LABELS):
    return tf.data.Dataset.from_tensor_slices({"image": pixels, "label": labels})


def small(data=None, **options):
    return images(dataset() if data is None else data, **{"batch_size": 8, **options})


def rows(data):
    x, y = zip(*data.as_numpy_iterator(), strict=True)
    return np.concatenate(x), np.concatenate(y)


def contents(x):
    return {image.tobytes() for image in x}


@pytest.fixture
def folder(tmp_path):
    """Class folders with 4 x 6 images; each pixel says which image it is of."""
    for i in range(60):
        path = tmp_path / "pictures" / ("cat", "dog", "emu")[i % 3] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        tf.io.write_file(str(path), tf.io.encode_png(np.full((4, 6, 3), i, "uint8")))
    return tmp_path / "pictures"


def test_pixels_are_floats_from_0_to_1_and_stay_integers_in_memory():
    data = small()
    x, y = rows(data.validation)
    assert x.dtype == np.float32 and y.dtype == np.int32
    np.testing.assert_allclose(x, data.pixels["validation"] / 255, atol=1e-6)
    np.testing.assert_array_equal(y, data.labels["validation"])
    assert data.pixels["train"].dtype == np.uint8
    of_label = {image.tobytes(): label for image, label in zip(PIXELS, LABELS, strict=True)}
    x, y = next(data.train.as_numpy_iterator())
    back = np.round(x * 255).astype("uint8")
    assert [of_label[image.tobytes()] for image in back] == y.tolist()


def test_missing_splits_are_held_out_and_do_not_overlap():
    data = small()
    sizes = {name: len(x) for name, x in data.pixels.items()}
    assert sizes == {"train": 96, "validation": 2, "test": 2}
    found = [contents(x) for x in data.pixels.values()]
    assert not any(a & b for a, b in itertools.combinations(found, 2))
    # Another order of the examples holds out the same ones.
    again = small(dataset(PIXELS[::-1], LABELS[::-1]))
    assert contents(again.pixels["test"]) == contents(data.pixels["test"])


def test_splits_that_exist_are_taken_as_they_are():
    data = small({"train": dataset(), "test": dataset(PIXELS[:10], LABELS[:10])})
    np.testing.assert_array_equal(data.pixels["test"], PIXELS[:10])
    assert len(data.pixels["train"]) == 98


def test_patches_are_squares_in_raster_order():
    data = small(layout="patches", patch_size=2)
    x, _ = rows(data.validation)
    assert x.shape == (2, 6, 12) and data.sequence_length == 6
    image = data.pixels["validation"][1] / 255
    for row, column in itertools.product(range(2), range(3)):
        square = image[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        np.testing.assert_allclose(x[1, 3 * row + column], square.ravel(), atol=1e-6)
    np.testing.assert_allclose(data.to_images(x)[1], image, atol=1e-6)
    assert data.train.element_spec[0].shape == (8, 6, 12)


def test_tokens_are_the_levels_of_pixels_and_labels_the_next_ones():
    data = small(layout="tokens", levels=4)
    tokens, labels = rows(data.test)
    expected = (data.pixels["test"].astype("int64") * 4 / 255).clip(max=3).astype("int64")
    np.testing.assert_array_equal(labels, expected.reshape(2, 72))
    np.testing.assert_array_equal(tokens[:, 0], data.start_id)
    np.testing.assert_array_equal(tokens[:, 1:], labels[:, :-1])
    assert data.start_id == 4 and data.vocabulary_size == 5 and data.class_names is None
    assert np.abs(data.to_images(labels) - data.pixels["test"] / 255).max() < 1 / 4


def test_tokens_need_no_labels():
    data = small(dataset().map(lambda row: {"x": row["image"]}), layout="tokens")
    assert data.labels == {} and data.train.element_spec[0].shape == (8, 72)


def test_a_folder_has_a_folder_a_class(folder):
    data = small(folder)
    assert data.class_names == ("cat", "dog", "emu") and data.image_shape == (4, 6, 3)
    for split in ("train", "test"):
        np.testing.assert_array_equal(data.pixels[split][:, 0, 0, 0] % 3, data.labels[split])
    assert len(data.pixels["train"]) == 58


def test_a_folder_may_have_splits(folder):
    splits = folder.parent / "splits"
    splits.mkdir()
    folder.rename(splits / "train")
    (splits / "val" / "dog").mkdir(parents=True)
    (splits / "train" / "dog" / "01.png").rename(splits / "val" / "dog" / "01.png")
    data = small(splits)
    assert data.pixels["validation"].shape == (1, 4, 6, 3) and data.labels["validation"] == [1]
    (splits / "val" / "fox").mkdir()
    with pytest.raises(ValueError, match="folder of training images. Received: .'fox'."):
        small(splits)


@pytest.mark.parametrize("cache", ["memory", None, "folder"])
def test_a_file_that_is_no_image_is_named_or_skipped_and_counted(folder, tmp_path, cache):
    (folder / "dog" / "04.png").write_bytes(b"no image")
    options = {"cache": tmp_path / "cache" if cache == "folder" else cache}
    with pytest.raises(ValueError, match="Record 21 of split 'train'.*04.png', cannot be read"):
        small(folder, **options)
    data = small(folder, errors="skip", train_examples=56, **options)
    assert data.dropped["train"] == {"unreadable": 1}
    x, y = rows(data.train)
    assert len(x) == 56 and 4 not in np.round(x * 255)
    np.testing.assert_array_equal(np.round(x[:, 0, 0, 0] * 255) % 3, y)


def test_images_of_other_sizes_are_refused_or_resized(folder):
    tf.io.write_file(str(folder / "emu" / "02.png"), tf.io.encode_png(np.full((8, 12, 3), 2, "u1")))
    with pytest.raises(
        ValueError, match=r"02.png', must have the size .*\(4, 6, 3\).*\(8, 12, 3\)"
    ):
        small(folder)
    assert small(folder, errors="skip").dropped["train"] == {"other_size": 1}
    data = small(folder, image_size=(2, 3))
    assert data.image_shape == (2, 3, 3) and data.pixels["train"].dtype == np.uint8
    # Each image has one value, which resizing keeps.
    assert {*np.concatenate(list(data.pixels.values())).flat} == set(range(60))
    assert small(folder, image_size=(2, 3, 1)).image_shape == (2, 3, 1)


def test_gray_images_may_lack_channels():
    data = small(dataset(PIXELS[..., 0]))
    assert data.image_shape == (4, 6, 1)
    assert small(dataset(PIXELS[..., :1]), image_size=(4, 6, 3)).image_shape == (4, 6, 3)


@pytest.mark.parametrize("label", [-1, 5])
def test_labels_out_of_range_are_named_or_counted(label):
    wrong = np.where(np.arange(N) == 42, label, LABELS)
    names = ["a", "b", "c", "d", "e"]
    with pytest.raises(ValueError, match=rf"Record 42 .* label of 0 to 4.*Received: {label}"):
        small(dataset(labels=wrong), class_names=names)
    data = small(dataset(labels=wrong), class_names=names, errors="skip")
    assert data.dropped["train"] == {"unknown_label": 1} and data.class_names == tuple(names)


def test_training_labels_alone_say_how_many_classes_there_are():
    others = dataset(PIXELS[:10], 3 + LABELS[:10])
    with pytest.raises(ValueError, match="Record 2 of split 'test' .* 0 to 4.*Received: 5"):
        small({"train": dataset(), "test": others})


def test_floats_must_be_from_0_to_1():
    floats = (PIXELS / 255).astype("float32")
    np.testing.assert_allclose(rows(small(dataset(floats)).test)[0], rows(small().test)[0], atol=1)
    floats[7, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="Record 7 .* must have pixels of 0 to 1.*nan"):
        small(dataset(floats))
    floats[7, 0, 0, 0] = 255
    assert small(dataset(floats), errors="skip").dropped["train"] == {"pixels_out_of_range": 1}


@pytest.mark.parametrize("cache", [None, "folder"])
def test_outside_memory_there_are_the_same_images(tmp_path, cache):
    options = {"cache": tmp_path / "cache" if cache else None, "layout": "patches", "patch_size": 2}
    data, kept = small(**options), small(layout="patches", patch_size=2)
    for split in ("validation", "test"):
        for part, same in zip(rows(getattr(data, split)), rows(getattr(kept, split)), strict=True):
            np.testing.assert_array_equal(part, same)
    passes = [rows(data.train)[0] for _ in range(2)]
    assert contents(passes[0]) == contents(passes[1]) == contents(rows(kept.train)[0])
    assert not np.array_equal(*passes) and len(data.train) == 12
    again = small(**options)
    np.testing.assert_array_equal(rows(again.train)[0], passes[0])
    endless = list(itertools.islice(again.train.from_step(0), 30))
    for step in (5, 12, 29):
        x, y = next(iter(again.train.from_step(step)))
        np.testing.assert_array_equal(x, endless[step][0])
        np.testing.assert_array_equal(y, endless[step][1])


def test_a_copy_on_disk_is_of_its_own_content(tmp_path):
    small(cache=tmp_path)
    before = sorted(tmp_path.iterdir())
    small(cache=tmp_path)
    assert sorted(tmp_path.iterdir()) == before and len(before) == 3
    data = small(dataset(255 - PIXELS), cache=tmp_path)
    back = np.round(rows(data.test)[0] * 255).astype("uint8")
    assert contents(back) <= contents(255 - PIXELS)


def test_a_run_goes_on_at_any_step():
    data = small()
    whole = list(itertools.islice(data.train.from_step(0), 15))
    x, y = next(iter(data.train.from_step(14)))
    np.testing.assert_array_equal(x, whole[14][0])
    np.testing.assert_array_equal(y, whole[14][1])


def test_the_description_has_sizes_classes_and_their_counts():
    text = small(class_names=["ant", "bee", "cow", "dog", "elk"]).describe()
    for part in (
        "train       96 images",
        "size        4 x 6 x 3",
        "classes     5: ant, bee, cow, dog, elk",
        "labels of the training images",
        "before: image of 4 x 6 x 3, ant",
        "after:  float32 (4, 6, 3), 0",
    ):
        assert part in text
    assert "labels [" in small(layout="tokens").describe()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layout": "rows"}, ValueError, "`layout` must be one of 'pixels', 'patches', 'tokens'"),
        ({"layout": "patches"}, ValueError, "`patch_size` must be given for the layout 'patches'"),
        ({"patch_size": 2}, ValueError, "and for no other. Received: 2 for 'pixels'"),
        ({"layout": "patches", "patch_size": 4}, ValueError, "must divide .* 4 x 6"),
        ({"levels": 1}, ValueError, "`levels` must be 2 to 256"),
        ({"image_size": (4,)}, ValueError, "`image_size` must be .height, width."),
        ({"image_size": 4}, ValueError, "`image_size` must be .height, width."),
        ({"image_size": (4, 6, 4)}, ValueError, "must have the images' 3 channels"),
        ({"cache": 3}, TypeError, "`cache` must be 'memory', a folder or None"),
        ({"batch_size": 97}, ValueError, "`batch_size` must be at most 96"),
        ({"image": "label"}, ValueError, "`image` must be a column with images"),
        ({"label": "image"}, ValueError, "`label` must be a column with labels"),
    ],
)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        small(**options)


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must hold a folder for each class.*no folders"):
        images(tmp_path)
    with pytest.raises(ValueError, match="path of an existing folder. Received: .*none"):
        images(tmp_path / "none")
    (tmp_path / "file").write_text("no folder")
    for task in (images, captions):
        with pytest.raises(ValueError, match="file' must be a folder of images. Received: a file"):
            task(tmp_path / "file")


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_real_digits_and_clothes(name):
    if not (SHARED / "tfds" / name).is_dir():
        pytest.skip(f"needs real data: ../shared/data/tfds/{name} is missing")
    data = images(f"{name}:3.0.1", data_dir=SHARED / "tfds", layout="patches", patch_size=7)
    assert len(data.class_names) == 10 and data.train.element_spec[0].shape == (32, 16, 49)
    assert [len(y) for y in data.labels.values()] == [58_800, 1_200, 10_000]

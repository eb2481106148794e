import numpy as np

from keras_seq.data import MovingDigits, moving_digits, tagging
from keras_seq.data.moving_digits import CLASSES, FRAMES, NOTHING, SIDE, make_splits, remembered

SIZES = {"train": 40, "validation": 8, "test": 8}
LABELS = np.arange(50) % 10


def source(split):
    """Squares whose brightness tells the split and the label."""
    images = np.zeros((50, 28, 28, 1), "uint8")
    images[:, 8:20, 8:20, 0] = (100 + LABELS * 3 + 40 * list(SIZES).index(split))[:, None, None]
    return images, LABELS


def brightest(frames):
    return frames.max(axis=(-3, -2, -1)).astype(int)


def test_a_frame_shows_what_its_label_says_unless_noise_covers_it():
    splits = make_splits({split: source(split) for split in SIZES}, SIZES)
    for i, (split, (frames, labels, covered)) in enumerate(splits.items()):
        assert frames.shape == (SIZES[split], FRAMES, SIDE, SIDE, 1) and frames.dtype == np.uint8
        of_label = 100 + 3 * labels + 40 * i
        expected = np.where(labels == NOTHING, 0, of_label)[~covered]
        np.testing.assert_allclose(brightest(frames)[~covered], expected, atol=1)
        assert (frames[covered].mean(axis=(1, 2, 3)) > 100).all()


def test_covered_frames_have_the_label_before_them():
    _, labels, covered = make_splits({"train": source("train")}, {"train": 60})["train"]
    before = np.concatenate([np.full((60, 1), NOTHING), labels[:, :-1]], axis=1)
    np.testing.assert_array_equal(labels[covered], before[covered])
    assert 0.2 < covered.mean() < 0.5 and not covered[:, 0].any()
    assert (labels[covered] != NOTHING).mean() > 0.5  # what must be remembered is seldom nothing
    seen = np.array([[1, 2, NOTHING, 3]])
    assert remembered(seen, np.array([[True, False, True, True]])).tolist() == [[NOTHING, 2, 2, 2]]


def test_digits_move_and_turn():
    frames, labels, covered = make_splits({"train": source("train")}, {"train": 20})["train"]
    clear = ~covered & (labels != NOTHING)
    both = clear[:, 1:] & clear[:, :-1] & (labels[:, 1:] == labels[:, :-1])
    changes = np.abs(np.diff(frames.astype(int), axis=1)).max(axis=(2, 3, 4))
    assert (changes[both] > 0).mean() > 0.9
    inside = frames[clear].sum(axis=(1, 2, 3)) / brightest(frames)[clear]
    np.testing.assert_allclose(inside, 12 * 12, rtol=0.1)  # whole squares: nothing is cut off


def test_the_draw_is_the_same_every_time_and_another_with_another_seed():
    first, again, other = (
        make_splits({"test": source("test")}, {"test": 5}, seed)["test"] for seed in (0, 0, 1)
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[1] != other[1]).any()


def test_tfds_makes_it_from_mnist_for_a_tagger(tmp_path, monkeypatch):
    monkeypatch.setattr(moving_digits, "SIZES", SIZES)
    monkeypatch.setattr(
        moving_digits,
        "read_source_images",
        lambda name, data_dir: {split: source(split) for split in SIZES if name == "mnist"},
    )
    builder = MovingDigits(data_dir=tmp_path)
    builder.download_and_prepare()
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == SIZES
    data = tagging("moving_digits", data_dir=tmp_path, batch_size=4, static_shapes=True)
    frames, labels, weights = next(iter(data.test))
    assert frames.shape == (4, FRAMES, SIDE, SIDE, 1) and data.class_names == list(CLASSES)
    shown = 100 + 3 * labels.numpy() + 80
    clear = frames.numpy().mean(axis=(2, 3, 4)) < 0.3
    expected = np.where(labels == NOTHING, 0, shown)[clear]
    np.testing.assert_allclose(255 * frames.numpy().max(axis=(2, 3, 4))[clear], expected, atol=1.1)
    assert weights.numpy().all()

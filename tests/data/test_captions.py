import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_seq.data import captions, train_tokenizer

N = 60
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 4, 4, 3)).astype("uint8")
TEXTS = [[f"a dog {i}", f"{i} small dogs in a row", f"dogs {i}"] for i in range(N)]


def dataset(texts=TEXTS, pixels=PIXELS):
    return tf.data.Dataset.from_tensor_slices({"image": pixels, "text": texts})


def small(data=None, **options):
    data = dataset() if data is None else data
    return captions(data, **{"tokenizer": "character", "batch_size": 8, **options})


def examples(data, split):
    """List of (image, text) of the batches of a split."""
    found = []
    for inputs, labels, weights in getattr(data, split).as_numpy_iterator():
        for image, text, label, weight in zip(
            inputs["image"], inputs["text"], labels, weights, strict=True
        ):
            count = int(weight.sum())
            np.testing.assert_array_equal(weight, np.arange(len(weight)) < count)
            assert text[0] == data.start_id and label[count - 1] == data.end_id
            np.testing.assert_array_equal(text[1:count], label[: count - 1])
            assert not text[count:].any() and not label[count:].any()
            pixels = np.round(image * 255).astype("uint8")
            found.append((pixels.tobytes(), data.tokenizer.detokenize(text[1:count])))
    return found


OF_IMAGE = {p.tobytes(): t for p, t in zip(PIXELS, TEXTS, strict=True)}


def test_every_caption_is_an_example_with_its_image():
    data = small()
    found = examples(data, "validation")
    assert found == [
        (image.tobytes(), text)
        for image, texts in zip(data.pixels["validation"], data.texts["validation"], strict=True)
        for text in texts
    ]
    assert all(text in OF_IMAGE[image] for image, text in examples(data, "train"))
    inputs, labels, weights = data.train.element_spec
    assert inputs["image"].shape == (8, 4, 4, 3) and inputs["image"].dtype == tf.float32
    assert inputs["text"].shape == labels.shape == weights.shape == (8, 24)


def test_captions_of_an_image_stay_together_when_splits_are_held_out():
    data = small()
    held = [{image.tobytes() for image in pixels} for pixels in data.pixels.values()]
    assert [len(images) for images in held] == [58, 1, 1]
    assert not any(a & b for a, b in itertools.combinations(held, 2))
    assert data.texts["test"] == [OF_IMAGE[data.pixels["test"][0].tobytes()]]


def test_one_caption_of_each_image_is_drawn_anew_in_each_pass():
    data = small(captions_per_image="one", batch_size=58)
    passes = [examples(data, "train") for _ in range(8)]
    for found in passes:
        assert len({image for image, _ in found}) == len(found) == 58
        assert all(text in OF_IMAGE[image] for image, text in found)
    drawn = [{text for found in passes for i, text in found if i == image} for image in OF_IMAGE]
    assert np.mean([len(texts) for texts in drawn if texts]) > 2.5
    assert len(examples(data, "test")) == 3
    again = small(captions_per_image="one", batch_size=58)
    assert [examples(again, "train") for _ in range(2)] == passes[:2]
    assert "58 images, a caption drawn for each" in str(data)


def test_a_run_goes_on_at_any_step():
    data = small(captions_per_image="one")
    whole = list(itertools.islice(data.train.from_step(0), 16))
    for step in (3, 15):
        inputs, labels, _ = next(iter(data.train.from_step(step)))
        np.testing.assert_array_equal(inputs["image"], whole[step][0]["image"])
        np.testing.assert_array_equal(labels, whole[step][1])


def test_one_caption_an_image_and_pairs_do_as_well():
    texts = [several[0] for several in TEXTS]
    data = small(tf.data.Dataset.from_tensor_slices((PIXELS, texts)))
    assert data.texts["test"] == [[OF_IMAGE[data.pixels["test"][0].tobytes()][0]]]


def test_images_may_have_different_numbers_of_captions():
    texts = tf.ragged.constant([several[: 1 + i % 3] for i, several in enumerate(TEXTS)])
    data = small(dataset(texts))
    assert len(data.texts["train"][0]) == 1 and len(data.texts["train"][2]) == 3


def test_a_budget_of_tokens_and_buckets_bound_the_batches():
    data = small(batch_size=None, max_tokens=200)
    sizes = [labels.shape for _, labels, _ in data.train]
    assert all(rows * length <= 200 for rows, length in sizes) and len({b for _, b in sizes}) > 1
    assert sum(rows for rows, _ in sizes) == 3 * 58
    data = small(length_buckets=(10, 32))
    assert {labels.shape[1] for _, labels, _ in data.validation} <= {10, 24} == set(data.shapes)
    data = small(static_shapes=True)
    assert {labels.shape for _, labels, _ in data.train} == {(8, length) for length in data.shapes}


def test_what_is_empty_or_too_long_is_counted():
    texts = [list(several) for several in TEXTS]
    texts[3][0], texts[4] = " ", ["", "", ""]
    splits = {name: dataset(texts) for name in ("train", "validation", "test")}
    data = small(splits, text_length=10)
    long = sum(len(t) > 9 for several in texts for t in several if t.strip())
    assert data.dropped["test"] == {"empty": 4, "without_captions": 1, "too_long": long}
    assert len(data.pixels["test"]) == 59 and len(data.texts["test"][3]) == 2
    assert len(examples(data, "test")) == 3 * 60 - 4 - long


def test_tokenizer_and_length_come_from_training_captions_alone():
    others = [[f"{text} ÄÖÜ and much longer than any other" for text in t] for t in TEXTS]
    plain = small({name: dataset() for name in ("train", "validation", "test")})
    data = small({"train": dataset(), "validation": dataset(others), "test": dataset(others)})
    assert data.tokenizer.get_vocabulary() == plain.tokenizer.get_vocabulary()
    assert data.text_length == plain.text_length and data.dropped["test"]["too_long"] > 0


def test_large_images_are_resized_and_records_that_cannot_be_used_are_named():
    assert small(image_size=(2, 2)).image_shape == (2, 2, 3)
    texts = [several[0].encode() for several in TEXTS]
    texts[7] = b"\xff\xfe"
    with pytest.raises(ValueError, match="Record 7 of split 'train'.* UTF-8 in column 'text'"):
        small(dataset(texts))
    assert small(dataset(texts), errors="skip").dropped["train"]["not_utf8"] == 1


def test_a_given_tokenizer_is_used():
    tokenizer = train_tokenizer(["a dog 0123456789 small dogs in a row"], "character")
    assert small(tokenizer=tokenizer).tokenizer is tokenizer
    with pytest.raises(ValueError, match="`tokenizer` .*add_end=False"):
        small(tokenizer=train_tokenizer(["abc"], "character", add_end=True))


def test_the_description_has_images_captions_and_lengths():
    text = small().describe()
    for part in (
        "train       174 captions of 58 images",
        "images      4 x 4 x 3",
        "lengths of the training captions, in tokens",
        "before: image of 4 x 4 x 3, 'a dog",
        "after:  float32 (4, 4, 3), [2, ",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"captions_per_image": 2}, ValueError, "`captions_per_image` must be one of 'all', 'one'"),
        ({"text": "image"}, ValueError, "`text` must be a column with texts"),
        ({"image": "text"}, ValueError, "`image` must be a column with images"),
        ({"max_tokens": 20}, ValueError, "`max_tokens` must hold the longest"),
        ({"batch_size": 175}, ValueError, "`batch_size` must be at most 174"),
        ({"text_length": 0}, ValueError, "text_length"),
        ({"tokenizer": "letters"}, ValueError, "`tokenizer` .*'letters'"),
    ],
)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        small(**options)

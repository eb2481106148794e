import json

import numpy as np
import pytest
import tensorflow as tf

from keras_seq.data import captions

COUNT = 12


def write_images(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(COUNT):
        pixels = np.full((4, 4, 3), 20 * i, "uint8")
        (folder / f"{i}.png").write_bytes(tf.io.encode_png(pixels).numpy())


def as_csv(folder, columns=("image", "caption"), name="captions.txt", captions_each=2):
    rows = [f'{i}.png,"number {i}, {k}"' for i in range(COUNT) for k in range(captions_each)]
    (folder / name).write_text("\n".join([",".join(columns), *rows]), encoding="utf-8")


def as_json_lines(folder):
    rows = [{"file_name": f"{i}.png", "text": [f"number {i}", f"it is {i}"]} for i in range(COUNT)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def small(path, **options):
    return captions(path, **{"tokenizer": "character", "batch_size": 2, **options})


@pytest.mark.parametrize("write", [as_csv, as_json_lines])
def test_each_caption_comes_with_its_image(tmp_path, write):
    for split in ("train", "validation", "test"):
        write_images(tmp_path / split)
        write(tmp_path / split)
    data = small(tmp_path)
    assert data.summaries["validation"].examples == 2 * COUNT and data.image_shape == (4, 4, 3)
    for inputs, labels, weights in data.validation:
        for image, y, w in zip(
            inputs["image"].numpy(), labels.numpy(), weights.numpy(), strict=True
        ):
            text = data.tokenizer.detokenize(y[: int(w.sum()) - 1])
            number = round(float(image[0, 0, 0]) * 255) // 20
            assert f"{number}" in text.replace(",", "").split()


def test_one_folder_is_the_train_split(tmp_path):
    write_images(tmp_path)
    as_csv(tmp_path, ("file_name", "text"), "metadata.csv", captions_each=1)
    data = small(tmp_path)
    assert sum(s.examples for s in data.summaries.values()) == COUNT


def test_what_is_wrong_is_named_with_file_and_line(tmp_path):
    write_images(tmp_path)
    with pytest.raises(ValueError, match=r"must hold images and a table of them"):
        small(tmp_path)
    table = tmp_path / "captions.txt"
    for text, message in (
        ("image,caption\nx.png,no", r"Line 2 of .* must name an image .* 'x.png'"),
        ("image,words\n0.png,no", r"Line 2 of .* must have the columns file_name"),
        ("image,caption\n", "must have a row for each caption"),
    ):
        table.write_text(text)
        with pytest.raises(ValueError, match=message):
            small(tmp_path)
    table.unlink()
    (tmp_path / "metadata.jsonl").write_text("{")
    with pytest.raises(ValueError, match=r"Line 1 of .* must be a JSON object"):
        small(tmp_path)


def test_a_damaged_image_is_named_or_counted(tmp_path):
    write_images(tmp_path)
    as_csv(tmp_path)
    (tmp_path / "3.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"Record 3 of split 'train' .*3.png"):
        small(tmp_path)
    data = small(tmp_path, errors="skip")
    assert data.dropped["train"]["unreadable"] == 1

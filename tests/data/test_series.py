import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_seq.data import series
from tests.data.conftest import SHARED

STEPS = np.arange(200.0)
TWO = np.stack([STEPS, 1000 - STEPS], axis=1)


def small(dataset=TWO, **options):
    return series(dataset, **{"past": 6, "future": 3, "batch_size": 4, "scale": None, **options})


def rows(dataset):
    """All inputs and labels of a dataset."""
    inputs, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(inputs), np.concatenate(labels)


@pytest.fixture
def write_csv(tmp_path):
    def write(lines, name="series.csv"):
        path = tmp_path / name
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
        return path

    return write


def days(count, broken=None):
    """Lines of a file of `count` days; `broken` is `{line number: text}`."""
    lines = ["date,a,b"] + [f"2020-01-{1 + i:02d},{i},{2 * i}" for i in range(count)]
    return [(broken or {}).get(i + 1, line) for i, line in enumerate(lines)]


def test_windows_are_the_past_and_what_follows():
    inputs, labels = rows(small().validation)
    assert inputs.shape == (18, 6, 2) and labels.shape == (18, 3, 2)
    assert inputs.dtype == labels.dtype == np.float32
    # 140 rows train, so the first window forecasts rows 140, 141, 142.
    for i, (x, y) in enumerate(zip(inputs, labels, strict=True)):
        np.testing.assert_array_equal(x, TWO[134 + i : 140 + i])
        np.testing.assert_array_equal(y, TWO[140 + i : 143 + i])


def test_every_row_of_validation_and_test_is_forecast_and_no_other():
    data = small()
    forecast = {name: set(rows(getattr(data, name))[1][..., 0].flat) for name in data.starts}
    assert forecast["validation"] == set(range(140, 160))
    assert forecast["test"] == set(range(160, 200))
    inputs, labels = rows(data.train)
    assert max(inputs.max(where=inputs < 300, initial=0), labels[..., 0].max()) < 140


def test_training_batches_are_full_and_shuffled_anew():
    data = small()
    passes = [rows(data.train)[0][:, 0, 0].tolist() for _ in range(2)]
    assert passes[0] != passes[1] and passes[0] != sorted(passes[0])
    assert len(set(passes[0])) == len(passes[0]) == (140 - 9 + 1) // 4 * 4
    assert data.train.element_spec[0].shape == (4, 6, 2)
    again = small()
    assert [rows(again.train)[0][:, 0, 0].tolist() for _ in range(2)] == passes


def test_a_run_goes_on_at_any_step():
    data = small()
    whole = list(itertools.islice(data.train.from_step(0), 50))
    for step in (1, 34, 41):
        inputs, labels = next(iter(data.train.from_step(step)))
        np.testing.assert_array_equal(inputs, whole[step][0])
        np.testing.assert_array_equal(labels, whole[step][1])


@pytest.mark.parametrize("future", [1, 3])
def test_with_every_step_each_step_has_the_label_after_it(future):
    inputs, labels = rows(small(future=future, every_step=True, targets=[1]).test)
    assert labels.shape == ((*inputs.shape[:2], 1) if future == 1 else (*inputs.shape[:2], 3, 1))
    labels = labels.reshape(*inputs.shape[:2], future)
    for ahead in range(future):
        np.testing.assert_array_equal(labels[:, :, ahead], inputs[:, :, 1] - 1 - ahead)


def test_scaling_uses_training_rows_alone():
    changed = TWO.copy()
    changed[140:] = 1e6
    data, other = (small(values, scale="standard") for values in (TWO, changed))
    assert data.mean == other.mean == {0: 69.5, 1: 930.5}
    assert data.std == other.std
    for part, same in zip(rows(data.train), rows(other.train), strict=True):
        np.testing.assert_array_equal(part, same)
    scaled = TWO[:140, 0] - 69.5
    np.testing.assert_allclose(data.std[0], np.sqrt(np.mean(scaled**2)), rtol=1e-12)


def test_unscale_is_the_inverse_and_knows_the_columns():
    data = small(np.stack([STEPS, 1e6 + STEPS, 3 * STEPS], 1), scale="standard", targets=[2, 1])
    inputs, labels = rows(data.test)
    start = data.starts["test"]
    truth = data.values[start[:, None] + 6 + np.arange(3)][..., [2, 1]]
    np.testing.assert_allclose(data.unscale(labels), truth, rtol=1e-5)
    np.testing.assert_allclose(data.scale(data.values[start[0] :][:6]), inputs[0], rtol=1e-6)
    np.testing.assert_allclose(data.unscale(inputs, (0, 1, 2))[0], data.values[start[0] :][:6])


def test_a_constant_column_stays_finite():
    data = small(np.stack([STEPS, np.full(200, 0.1)], axis=1), scale="standard")
    inputs, labels = rows(data.train)
    assert np.isfinite(inputs).all() and np.abs(inputs[..., 1]).max() < 1e-6
    np.testing.assert_allclose(data.unscale(labels)[..., 1], 0.1)


def test_a_stride_leaves_windows_out():
    np.testing.assert_array_equal(np.diff(small(stride=5).starts["train"]), 5)


def test_numbers_of_rows_cut_as_they_say():
    data = small(splits=(100, 30, 40))
    assert data.rows == {"train": 100, "validation": 30, "test": 40, "unused": 30}
    assert data.starts["test"][0] == 130 - 6 and data.starts["test"][-1] == 170 - 9
    assert "unused 30" in str(data)


def test_splits_that_exist_stay_apart():
    data = small({"train": TWO, "test": 5000 + TWO})
    # Validation is cut from the end of train, and looks back into it; test does not.
    assert data.rows == {"train": 175, "validation": 25, "test": 200}
    assert data.starts["validation"][0] == 175 - 6 and data.starts["test"][0] == 200


def test_whole_series_are_held_out_of_many():
    many = np.random.default_rng(0).normal(size=(100, 12, 1))
    data = small(many)
    of_split = {name: set(starts // 12) for name, starts in data.starts.items()}
    assert [len(s) for s in of_split.values()] == [96, 2, 2]
    assert not any(a & b for a, b in itertools.combinations(of_split.values(), 2))
    assert {int(s) % 12 for s in data.starts["train"]} == {0, 1, 2, 3}


def test_a_file_has_names_and_dates(write_csv):
    data = small(write_csv(days(30)), past=2, future=1, targets="b")
    assert data.columns == ("a", "b") and data.targets == ("b",)
    assert data.times[data.starts["test"][0] + 2] == np.datetime64("2020-01-25")
    _, labels = rows(data.test)
    np.testing.assert_array_equal(labels[:, 0, 0], 2 * np.arange(24, 30))
    assert "time step   1 day" in str(data)


def test_a_file_may_have_semicolons_and_a_mark_of_unicode(write_csv):
    lines = ["\ufeffTime;x"] + [f"2020-01-{1 + i:02d}T00:00:00+00:00;{i}" for i in range(30)]
    data = small(write_csv([*lines, ""]), past=2, future=1)
    assert data.columns == ("x",) and data.times[3] == np.datetime64("2020-01-04")


def test_unequal_time_steps_are_said(write_csv):
    lines = days(30)
    data = small(write_csv(lines[:10] + lines[12:]), past=2, future=1)
    assert "UNEQUAL: 1 day, 0:00:00 but for 1 of 27, from 1 day, 0:00:00 to 3 days" in str(data)
    data = small(write_csv([line.replace("2020-01-", "1.") for line in lines]), past=2, future=1)
    assert "unknown, as 1.01 is no ISO 8601 date" in str(data)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2020-01-09,,16", "Line 10 of .*series.csv', column 'a', .*Received: nothing"),
        ("2020-01-09,8,n/a", "Line 10 .*column 'b', .*Received: 'n/a'.* errors='skip'"),
        ("2020-01-09,nan,16", "Line 10 .*column 'a', .*Received: nan"),
        ("2020-01-09,inf,16", "Line 10 .*column 'a', .*Received: inf"),
        ("2020-01-09,8,\udcff", "Line 10 .*column 'b'"),
        ("yesterday,8,16", "Line 10 .* must have a date .*Received: 'yesterday'"),
        ("2020-01-09,8", "Line 10 of .* must have 3 cells.*Received: 2"),
    ],
)
def test_a_bad_row_is_named(write_csv, line, message):
    with pytest.raises(ValueError, match=message):
        small(write_csv(days(30, {10: line})), past=2, future=1)


@pytest.mark.parametrize("line", ["2020-01-09,,16", "2020-01-09,8,n/a", "yesterday,8,16"])
def test_windows_that_touch_a_bad_row_are_skipped_and_counted(write_csv, line):
    path = write_csv(days(30, {10: line}))
    data = small(path, past=2, future=1, batch_size=1, errors="skip", scale="standard")
    assert data.dropped["train"] == {"with_missing_values": 3}
    assert data.dropped["test"] == {"with_missing_values": 0}
    assert sorted(data.starts["train"]) == sorted({*range(19)} - {6, 7, 8})
    assert np.isfinite(rows(data.train)[0]).all() and np.isfinite(list(data.std.values())).all()
    assert "(dropped: 3 with missing values)" in str(data)


def test_only_the_columns_in_use_must_be_numbers(write_csv):
    path = write_csv(days(30, {10: "2020-01-09,8,n/a"}))
    assert small(path, past=2, future=1, columns="a").dropped["train"] == {"with_missing_values": 0}


def test_a_folder_has_a_file_a_split(write_csv):
    for name in ("train.csv", "val.csv", "test.csv"):
        path = write_csv(days(30), name)
    data = small(path.parent, past=2, future=1)
    assert data.rows == {"train": 30, "validation": 30, "test": 30}


def test_datasets_of_steps_and_of_series_give_the_same():
    steps = tf.data.Dataset.from_tensor_slices({"x": TWO, "flag": np.zeros(200, bool)})
    whole = tf.data.Dataset.from_tensors({"x": TWO})
    for data in (small(steps), small(whole)):
        assert data.columns == ("x/0", "x/1")
        np.testing.assert_array_equal(rows(data.test)[0], rows(small().test)[0])
    assert small(steps, targets="x/1").targets == ("x/1",)
    assert small(steps, columns="x").columns == ("x/0", "x/1")


def test_series_of_different_lengths_are_not_joined():
    parts = [np.arange(a, b, dtype="float32") for a, b in ((100, 109), (200, 211))]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(parts), output_signature=tf.TensorSpec([None], "float32")
    ).map(lambda x: {"x": x})
    data = small({"train": dataset, "validation": dataset, "test": dataset}, batch_size=1)
    assert rows(data.test)[0][:, 0, 0].tolist() == [100, 200, 201, 202]


def test_the_description_has_units_and_an_example():
    text = small(scale="standard").describe()
    assert "SeriesData: the array" in text and "train       132 windows" in text
    assert "windows     6 steps -> 3" in text and "before: 6 steps, [0, 1000] to [5, 995]" in text
    assert "lengths" not in text
    with pytest.raises(ValueError, match="`picture` must be None"):
        small().describe("x.png")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"past": 0}, ValueError, "`past` must be a positive int. Received: 0"),
        ({"future": 1.5}, TypeError, "future"),
        ({"splits": (0.5, 0.6, 0.2)}, ValueError, "`splits` must be three shares"),
        ({"splits": (0.5, 10, 20)}, ValueError, "`splits` must be three shares"),
        ({"splits": 3}, ValueError, "`splits` must be three shares"),
        ({"splits": (150, 30, 30)}, ValueError, "no more rows than the series, 200"),
        ({"columns": ["HUFL"]}, ValueError, r"`columns` must be among the columns \[0, 1\]"),
        ({"targets": []}, ValueError, "`targets` must name a column"),
        ({"scale": "minmax"}, ValueError, "`scale` must be one of 'standard', None"),
        ({"past": 140}, ValueError, "'train' must have at least .*= 143 rows.*Received: 140"),
        ({"batch_size": 133}, ValueError, "`batch_size` must be at most 132"),
        ({"errors": "ignore"}, ValueError, "`errors` must be 'raise' or 'skip'"),
    ],
)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        small(**options)


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (np.zeros((2, 3, 4, 5)), ValueError, r"arrays of shape .*Received .*\(2, 3, 4, 5\)"),
        (np.zeros(0), ValueError, "none of them empty"),
        ({"train": ["a"]}, TypeError, "`dataset` must hold numbers"),
        ({"training_set": TWO}, ValueError, "Splits must be among"),
        ({"test": TWO}, ValueError, "`dataset` must have a split 'train'"),
        ({"train": TWO, "test": STEPS}, ValueError, "All splits must have the columns"),
        ("no/such/file.csv", ValueError, "no/such/file.csv.* does not exist"),
        (np.full((50, 1), np.nan), ValueError, "Row 0 of 'the array', column 0, .*nan"),
    ],
)
def test_wrong_datasets_are_refused(dataset, error, message):
    with pytest.raises(error, match=message):
        small(dataset)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "must have a header and rows below"),
        (["date,a"], "must have a header and rows below"),
        (["1,2", "3,4"], "first line of .* must have the names"),
        (["a,a", "3,4"], "first line of .* must have the names"),
    ],
)
def test_wrong_files_are_refused(write_csv, lines, message):
    with pytest.raises(ValueError, match=message):
        small(write_csv(lines))


def test_etth1_has_the_windows_of_the_papers():
    path = SHARED / "etth1" / "ETTh1.csv"
    if not path.is_file():
        pytest.skip("needs real data: ../shared/data/etth1 is missing")
    data = series(path, past=336, future=96, splits=(8640, 2880, 2880))
    assert {name: len(s) for name, s in data.starts.items()} == {
        "train": 8209,
        "validation": 2785,
        "test": 2785,
    }
    assert data.times[data.starts["test"][0] + 336] == np.datetime64("2017-10-24T00:00")
    errors = [np.mean((y - x[:, -1:]) ** 2, (1, 2)) for x, y in data.test.as_numpy_iterator()]
    # Repeating the last value: 1.295 in Zeng et al. 2022, table 2.
    assert abs(np.concatenate(errors).mean() - 1.295) < 2e-3


def test_a_series_that_cannot_be_read_is_skipped_and_counted_but_no_step():
    def row(i, length):
        first = tf.where(i == 3, np.float64(np.nan), tf.cast(100 * i, "float64"))
        return {"x": tf.debugging.check_numerics(first + length, "NaN")}

    numbers = tf.data.Dataset.range(12)
    whole = numbers.map(lambda i: row(i, tf.range(12, dtype="float64")[:, None]))
    splits = dict.fromkeys(("train", "validation", "test"), whole)
    data = small(splits, errors="skip")
    assert data.dropped["test"] == {"with_missing_values": 0, "unreadable": 1}
    assert data.rows["test"] == 11 * 12
    steps = numbers.map(lambda i: row(i, tf.zeros([], "float64")))
    with pytest.raises(ValueError, match="cannot be read"):
        small(steps, past=2, future=1, errors="skip")

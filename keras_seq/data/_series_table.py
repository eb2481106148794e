"""A file, arrays or a dataset -> rows of numbers with named columns."""

import csv
import dataclasses
import datetime
import os

import numpy as np

from keras_seq.data._read_columns import read_columns
from keras_seq.data._source import open_source
from keras_seq.data._splits import ALIASES, our_splits

_DATE_NAMES = ("date", "datetime", "time", "timestamp")


@dataclasses.dataclass
class Table:
    """Rows of numbers, one series after the other.

    Attributes:
        name: what the user called it.
        columns: D names.
        values: (R, D) float64, NaN where there is no number.
        bounds: (S + 1,) integers: series s is the rows from `bounds[s]` to `bounds[s + 1]`.
        times: (R,) datetime64, NaT where there is no date; strings, where dates are not ISO 8601;
            or `None`.
        lines: (R,) the line of each row in the file, or `None`.
        texts: dict from `(row, column)` to the text that is no number there.
        dropped: counts of series that were left out, by reason.
    """

    name: str
    columns: tuple
    values: np.ndarray
    bounds: np.ndarray
    times: np.ndarray = None
    lines: np.ndarray = None
    texts: dict = dataclasses.field(default_factory=dict)
    dropped: dict = dataclasses.field(default_factory=dict)

    def choose(self, columns, argument):
        """The numbers of the columns that a user named; `"x"` also stands for `"x/0"`, `"x/1"`, ...

        Args:
            columns: a name, names, or `None` for all.
            argument: its name, for messages.

        Returns:
            List of column numbers.
        """
        if columns is None:
            return list(range(len(self.columns)))
        one = isinstance(columns, (str, int))
        chosen = []
        for name in [columns] if one else columns:
            found = [i for i, c in enumerate(self.columns) if c == name]
            found = found or [
                i for i, c in enumerate(self.columns) if str(c).startswith(f"{name}/")
            ]
            if not found:
                raise ValueError(
                    f"`{argument}` must be among the columns {list(self.columns)} of "
                    f"{self.name!r}. Received: {name!r}"
                )
            chosen += found
        if not chosen:
            raise ValueError(f"`{argument}` must name a column. Received: {columns!r}")
        return chosen

    def where(self, row):
        """What to call a row in a message."""
        if self.lines is not None:
            return f"Line {self.lines[row]:,} of {self.name!r}"
        number = int(np.searchsorted(self.bounds, row, side="right")) - 1
        of_series = f" of series {number:,}" if len(self.bounds) > 2 else ""
        return f"Row {row - self.bounds[number]:,}{of_series} of {self.name!r}"

    def bad(self, columns, errors):
        """The rows that lack a number or a date: (R,) booleans.

        Args:
            columns: list of column numbers.
            errors: `"raise"` or `"skip"`.

        Raises:
            ValueError: if there is one and `errors` is `"raise"`; it names file, line and column.
        """
        bad = ~np.isfinite(self.values[:, columns])
        if errors == "raise" and bad.any():
            row, place = np.argwhere(bad)[0]
            column = columns[place]
            got = self.texts.get((row, column), self.values[row, column])
            raise ValueError(
                f"{self.where(row)}, column {self.columns[column]!r}, must have a finite number. "
                f"Received: {_shown(got)}. Correct it, choose other `columns`, or pass "
                "errors='skip' to leave out and count the windows that touch such a row."
            )
        bad = bad.any(axis=1)
        if self.times is not None and self.times.dtype.kind == "M":
            undated = np.isnat(self.times)
            if errors == "raise" and undated.any():
                row = int(np.argmax(undated))
                raise ValueError(
                    f"{self.where(row)} must have a date such as 2016-07-01 00:00:00. Received: "
                    f"{_shown(self.texts.get((row, None), ''))}. Correct it, or pass "
                    "errors='skip' to leave out and count the windows that touch such a row."
                )
            bad |= undated
        return bad


def _shown(value):
    if isinstance(value, str):
        return repr(value) if value else "nothing"
    return str(value)


def read_tables(dataset, data_dir, errors, wanted=None):
    """Reads what `series` was given.

    Args:
        dataset, data_dir, errors: as of `series`.
        wanted: names of the columns that are used, or `None` for all; others may be left out.

    Returns:
        Dict from `train`, `validation` and `test`, as far as they exist, to a `Table`; all have
        the same columns.
    """
    if isinstance(dataset, dict) and not any(hasattr(d, "element_spec") for d in dataset.values()):
        _check_split_names(dataset)
        tables = {s: _of_array(a, f"the array {s!r}") for s, a in our_splits(dataset).items()}
    elif isinstance(dataset, (np.ndarray, list)):
        tables = {"train": _of_array(dataset, "the array")}
    elif isinstance(dataset, (str, os.PathLike)) and os.path.isfile(os.path.expanduser(dataset)):
        tables = {"train": read_csv(os.path.expanduser(os.fspath(dataset)))}
    elif isinstance(dataset, (str, os.PathLike)) and _csv_files(dataset):
        tables = {split: read_csv(path) for split, path in _csv_files(dataset).items()}
    else:
        tables = _of_datasets(open_source(dataset, data_dir), errors, wanted)
    if "train" not in tables:
        raise ValueError(f"`dataset` must have a split 'train'. Received: {sorted(tables)}")
    for table in tables.values():
        if table.columns != tables["train"].columns:
            raise ValueError(
                f"All splits must have the columns of 'train', {list(tables['train'].columns)}. "
                f"{table.name!r} has {list(table.columns)}"
            )
    return tables


def _check_split_names(splits):
    known = [name for names in ALIASES.values() for name in names]
    others = sorted(set(splits) - set(known))
    if others:
        raise ValueError(f"Splits must be among {known}. Received: {others}")


def _csv_files(folder):
    """Dict from split to the file that a folder has for it."""
    folder = os.path.expanduser(os.fspath(folder))
    names = os.listdir(folder) if os.path.isdir(folder) else []
    files = {name[: -len(".csv")]: os.path.join(folder, name) for name in names}
    return our_splits({name: path for name, path in files.items() if path.endswith(".csv")})


def _of_array(array, name):
    try:
        values = np.asarray(array, "float64")
    except (TypeError, ValueError):
        raise TypeError(
            f"`dataset` must hold numbers, in arrays of shape (T,), (T, D), or (N, T, D) for N "
            f"series. Received for {name}: {type(array).__name__}"
        ) from None
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(
            f"`dataset` must hold arrays of shape (T,), (T, D), or (N, T, D) for N series, none of "
            f"them empty. Received for {name}: {np.shape(array)}"
        )
    series = values if values.ndim == 3 else values[None]
    return Table(
        name,
        tuple(range(values.shape[-1])),
        series.reshape(-1, values.shape[-1]),
        np.arange(len(series) + 1) * series.shape[1],
    )


def read_csv(path):
    """Reads a file of comma-separated values whose first line has the names of the columns.

    Semicolons and tabs may stand for the commas. The first column that is called `date`,
    `datetime`, `time` or `timestamp` holds dates; all others must be numbers where they are used.

    Returns:
        A `Table`.

    Raises:
        ValueError: if there is no such line, nothing below it, or a row with another number of
            cells.
    """
    # Bytes that are no UTF-8 stay in their cells, and are reported with their line.
    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        first = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=max(",;\t", key=first.count))
        names = [name.strip() for name in next(reader, [])]
        rows, lines = [], []
        for row in reader:
            rows.append(row)
            lines.append(reader.line_num)
    while rows and not rows[-1]:
        rows.pop()
    _check_header(path, names, rows)
    for row, line in zip(rows, lines, strict=False):
        if len(row) != len(names):
            raise ValueError(
                f"Line {line:,} of {path!r} must have {len(names)} cells, as its header "
                f"{names} has. Received: {len(row)}. Correct the file."
            )
    cells = dict(zip(names, zip(*rows, strict=True), strict=True))
    date = next((name for name in names if name.lower() in _DATE_NAMES), None)
    texts = {}
    times = None if date is None else _dates(cells.pop(date), texts)
    values = [_numbers(column, number, texts) for number, column in enumerate(cells.values())]
    return Table(
        path,
        tuple(cells),
        np.stack(values, axis=1) if values else np.zeros((len(rows), 0)),
        np.array([0, len(rows)]),
        times,
        np.array(lines[: len(rows)]),
        texts,
    )


def _check_header(path, names, rows):
    if not rows:
        raise ValueError(f"The file {path!r} must have a header and rows below. Received: neither")
    if len(set(names)) < len(names) or all(_number(name) is not None for name in names):
        raise ValueError(
            f"The first line of {path!r} must have the names of the columns, all distinct. "
            f"Received: {names[:8]}. Add such a line."
        )


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None


def _numbers(cells, column, texts):
    try:
        return np.array(cells, "float64")
    except ValueError:
        values = np.full(len(cells), np.nan)
        for row, cell in enumerate(cells):
            number = _number(cell)
            if number is None:
                texts[row, column] = cell.strip()
            else:
                values[row] = number
        return values


def _dates(cells, texts):
    """Dates as datetime64, or the texts themselves where most are no ISO 8601."""
    times, others = [], {}
    for row, cell in enumerate(cells):
        try:
            time = datetime.datetime.fromisoformat(cell.strip())
            if time.tzinfo is not None:
                time = time.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        except ValueError:
            others[row, None] = cell.strip()
            time = None
        times.append(time)
    if 2 * len(others) > len(cells):
        return np.array(cells)
    texts.update(others)
    return np.array(times, "datetime64[us]")


def _width(spec):
    """Numbers of the parts of a column with several, (D,) or (T, D)."""
    several = spec.shape.rank in (1, 2) and spec.shape[-1] is not None
    return range(spec.shape[-1] if several else 0)


def _of_datasets(source, errors, wanted):
    """Of datasets of steps, columns () or (D,), or of whole series, columns (T,) or (T, D)."""
    specs = {c: s for c, s in source.spec.items() if s.dtype.is_floating or s.dtype.is_integer}
    parts = [(c, c) for c in specs] + [(f"{c}/{i}", c) for c, s in specs.items() for i in _width(s)]
    if wanted is not None and set(wanted) <= set(dict(parts)):
        specs = {c: specs[c] for c in dict.fromkeys(dict(parts)[name] for name in wanted)}
    series = [c for c, s in specs.items() if s.shape.rank == 2 or s.shape == [None]]
    steps = [c for c, s in specs.items() if c not in series and s.shape.rank in (0, 1)]
    chosen = series or steps
    if not chosen:
        raise ValueError(
            f"The dataset {source.name!r} must have columns with numbers: of shape () or (D,), one "
            "step an example, or of shape (None,) or (T, D), one series an example. Received: "
            f"{source.spec}"
        )
    date = [c for c in source.spec if c.lower() in _DATE_NAMES and source.spec[c].shape.rank == 0]
    date = [] if series else [c for c in date if source.spec[c].dtype == "string"][:1]
    # Without a step that cannot be read, those around it would be neighbors.
    errors = errors if series else "raise"
    read, dropped = read_columns(source, chosen + date, errors=errors, texts=date)
    tables = {}
    for split, columns in read.items():
        names, values, lengths, texts = [], [], None, {}
        for column in chosen:
            items = [np.asarray(item, "float64") for item in columns[column]]
            mine = [len(item) for item in items] if series else [len(items)]
            rows = np.concatenate(items) if series else np.stack(items)
            if lengths not in (None, mine):
                raise ValueError(
                    f"The columns {chosen} of {source.name!r} must have the same number of steps "
                    f"in each example. Received: others in {column!r}."
                )
            lengths = mine
            width = 1 if rows.ndim == 1 else rows.shape[1]
            names += [column] if rows.ndim == 1 else [f"{column}/{i}" for i in range(width)]
            values.append(rows.reshape(-1, width))
        tables[split] = Table(
            f"{source.name}, split {split!r}",
            tuple(names),
            np.concatenate(values, axis=1),
            np.concatenate([[0], np.cumsum(lengths)]),
            _dates(columns[date[0]], texts) if date else None,
            texts=texts,
            dropped=dropped[split],
        )
    return tables

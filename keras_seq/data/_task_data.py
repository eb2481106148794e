"""What every task returns: three pipelines, and what a user wants to know about them."""

import dataclasses
import os

import numpy as np
import tensorflow as tf

_BAR = 40  # characters of the longest bar


@dataclasses.dataclass
class SplitSummary:
    """What is in the batches of one split.

    Attributes:
        examples: how many.
        dropped: dict from a reason to the number of examples that were left out, or changed, for
            it.
        batches: batches in a pass.
        lengths: (N,) integers: the length of each example, before padding.
        padding: fraction of the places of a pass that hold padding, 0 to 1.
        unknown: fraction of the tokens that the vocabulary lacks, 0 to 1, or `None`.
    """

    examples: int
    dropped: dict
    batches: int
    lengths: np.ndarray
    padding: float = 0.0
    unknown: float | None = None

    @classmethod
    def of_plan(cls, plan, dropped, lengths, unknown=None):
        """Of the plan of the batches."""
        lengths = np.asarray(lengths)
        return cls(len(lengths), dropped, len(plan), lengths, plan.padding, unknown)


@dataclasses.dataclass(repr=False, kw_only=True)
class TaskData:
    """Pipelines for training, validation and test; `print` shows a summary.

    Attributes:
        train, validation, test: `tf.data.Dataset`s for `fit`, `evaluate` and `predict`.
        dataset: what the task was given, a name or a path.
        summaries: dict from split name to `SplitSummary`.
        sample: `(before, after)`: a training example as it came, and as the model gets it.
    """

    train: tf.data.Dataset
    validation: tf.data.Dataset
    test: tf.data.Dataset
    dataset: str
    summaries: dict
    sample: tuple = ("", "")

    unit = "examples"
    length_unit = "tokens"

    @property
    def dropped(self):
        """Dict from split name to the counts of left out or changed examples, by reason."""
        return {name: dict(summary.dropped) for name, summary in self.summaries.items()}

    def _title(self):
        return self.dataset

    def _facts(self):
        """Further lines of the summary: pairs of a short name and a text."""
        return []

    def _histogram(self):
        """What a histogram counts, in which unit, and the numbers; three times `None` of none."""
        return "lengths", self.length_unit, self.summaries["train"].lengths

    def __repr__(self):
        lines = [f"{type(self).__name__}: {self._title()}"]
        lines += [f"  {name:<11} {self._count(name)}" for name in self.summaries]
        lines += [f"  {name:<11} {text}" for name, text in self._facts()]
        return "\n".join(lines)

    def _count(self, split):
        summary = self.summaries[split]
        counts = {reason: count for reason, count in summary.dropped.items() if count}
        cut = counts.pop("cut", 0)
        notes = [f"{count:,} {reason.replace('_', ' ')}" for reason, count in counts.items()]
        notes = [f"dropped: {', '.join(notes)}"] if notes else []
        notes += [f"{cut:,} cut"] if cut else []
        return f"{summary.examples:,} {self.unit}" + (f" ({'; '.join(notes)})" if notes else "")

    def describe(self, picture=None):
        """Tell what is in the batches: counts, padding, lengths, an example before and after.

        Args:
            picture: path of an image file for the histogram of lengths, drawn by matplotlib; `None`
                draws it with characters.

        Returns:
            `str`, the description; print it.

        Raises:
            ImportError: if `picture` is given and matplotlib is missing.
            ValueError: if `picture` is given and there is nothing to draw.
        """
        lines = [repr(self), "", f"  {'':<11} {'batches':>9} {'padding':>9} {'unknown':>9}"]
        for name, summary in self.summaries.items():
            unknown = "-" if summary.unknown is None else f"{summary.unknown:.2%}"
            lines.append(f"  {name:<11} {summary.batches:>9,} {summary.padding:>9.1%} {unknown:>9}")
        what, unit, numbers = self._histogram()
        if what is None:
            if picture is not None:
                raise ValueError(
                    f"`picture` must be None, as all {self.unit} have one length. Received: "
                    f"{picture!r}"
                )
        elif picture is None:
            lines += ["", f"  {what} of the training {self.unit}, in {unit}:", *_bars(numbers)]
        else:
            _draw(numbers, f"{what} ({unit})", f"{self.unit} of the training split", picture)
            lines += ["", f"  {what} of the training {self.unit}: see {os.fspath(picture)}"]
        before, after = self.sample
        if before or after:
            lines += ["", f"  before: {_shortened(before)}", f"  after:  {_shortened(after)}"]
        return "\n".join(lines)


def unknown_fraction(ids, unknown_id):
    """Fraction of the ids that are the unknown one, or `None` of no ids."""
    return float(np.mean(ids == unknown_id)) if len(ids) else None


def _edges(lengths, most=10):
    """Edges of at most so many bins of whole numbers."""
    low, high = int(lengths.min()), int(lengths.max())
    width = max(1, -(-(high + 1 - low) // most))
    return np.arange(low, high + width + 1, width)


def _bars(lengths):
    if len(lengths) == 0:
        return ["  (none)"]
    edges = _edges(lengths)
    counts, _ = np.histogram(lengths, edges)
    if counts[-1] == 0 and len(counts) > 1:
        edges, counts = edges[:-1], counts[:-1]
    lines = []
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        name = f"{low:,}" if high == low + 1 else f"{low:,}-{high - 1:,}"
        bar = "█" * max(round(_BAR * count / counts.max()), int(count > 0))
        lines.append(f"  {name:>13} {bar} {count:,}")
    return lines


def _draw(numbers, x_label, y_label, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(numbers, bins=_edges(numbers, 40))
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    figure.savefig(path)


def _shortened(text, most=300):
    text = str(text).replace("\n", "⏎")
    return text if len(text) <= most else text[: most - 1] + "…"

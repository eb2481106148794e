"""Rows with classes -> batches: what `classification` and `tagging` share."""

from keras_seq.data._splits import pick
from keras_seq.data._task_data import SplitSummary, unknown_fraction
from keras_seq.data.tokenizers import UNKNOWN_ID


def labeled_batches(
    rows, classes, make_fill, dropped, batches, sequence_length, *, too_long="drop", of_tokens=True
):
    """Limits the lengths of rows, and makes batches of them with their classes.

    Args:
        rows: dict from split to `Ragged`, N rows.
        classes: dict from split to a list or array of N classes, or of N arrays of them.
        make_fill: function from `Ragged` and classes to what fills batches, see `make_dataset`.
        dropped: dict from split to counts, which get what was too long.
        batches: `RowBatches`.
        sequence_length, too_long: as of `classification`.
        of_tokens: whether rows are token ids.

    Returns:
        `(pipelines, summaries, length)`: two dicts by split, and the length of the longest row.
    """
    longest = max(int(rows[split].lengths.max(initial=1)) for split in ("train", "validation"))
    length = min(sequence_length or longest, batches.longest_bucket or longest)
    pipelines, summaries = {}, {}
    for split, sequences in rows.items():
        fits = sequences.lengths <= length
        chosen = classes[split]
        if too_long == "drop":
            dropped[split]["too_long"] = int((~fits).sum())
            sequences, chosen = sequences.where(fits), pick(chosen, fits)
        else:
            dropped[split]["cut"] = int((~fits).sum())
            sequences = sequences.shortened(length, too_long.removeprefix("keep_"))
        lengths = sequences.lengths
        if split == "train":
            batches.choose_shapes(lengths[:, None], (length,))
        fill = make_fill(sequences, chosen)
        pipelines[split], plan = batches.make(split, lengths[:, None], fill)
        unknown = unknown_fraction(sequences.values, UNKNOWN_ID) if of_tokens else None
        summaries[split] = SplitSummary.of_plan(plan, dropped[split], lengths, unknown)
    return pipelines, summaries, length

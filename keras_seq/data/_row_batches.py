"""How rows of different lengths become batches: what the tasks have in common."""

from keras_seq.data._arguments import check_budget, check_positive, check_seed, checked_buckets
from keras_seq.data._batch_plan import (
    choose_shapes,
    first_shapes,
    merge_small_shapes,
    plan_batches,
    rows_of,
)
from keras_seq.data._pipeline import make_dataset


class RowBatches:
    """The arguments of a task that say how rows become batches, checked.

    Args:
        batch_size, max_tokens, length_buckets, static_shapes, seed: as of the tasks.
        default_rows: rows of a batch where neither `batch_size` nor `max_tokens` is given.
        unit: what a row is, for messages.
    """

    def __init__(
        self, batch_size, max_tokens, length_buckets, static_shapes, seed, default_rows, unit
    ):
        check_positive(batch_size=batch_size, max_tokens=max_tokens)
        check_seed(seed)
        if batch_size is None and max_tokens is None:
            batch_size = default_rows
        self.sizes = {"batch_size": batch_size, "max_tokens": max_tokens}
        self.buckets = checked_buckets(length_buckets)
        self.static_shapes = static_shapes
        self.seed = seed
        self.unit = unit
        self.shapes = None

    @property
    def longest_bucket(self):
        """The last bucket, or `None`."""
        return self.buckets[-1] if self.buckets else None

    def length(self, given, longest, most):
        """The greatest length of a row.

        Args:
            given: what the user passed, or `None` for the longest row, up to a multiple of 8.
            longest: length of the longest row.
            most: limit where there are neither a given length nor buckets.
        """
        limit = self.longest_bucket
        if given is None:
            given = min(-(-longest // 8) * 8, limit or most)
        return min(given, limit or given)

    def rows(self, length):
        """Rows of a batch whose rows all have one length."""
        check_budget(self.sizes["max_tokens"], length)
        return rows_of((length,), **self.sizes)

    def choose_shapes(self, row_lengths, longest):
        """Choose the shapes of all batches, those of the buckets or a few that fit; or none.

        Args:
            row_lengths: (N, C) integers, of the training rows.
            longest: C-tuple, the last of the shapes.
        """
        if self.buckets:
            shapes = sorted({tuple(min(b, n) for n in longest) for b in self.buckets} | {longest})
        elif self.static_shapes:
            shapes = choose_shapes(row_lengths, longest)
        else:
            return
        which = first_shapes(row_lengths, shapes)
        self.shapes = merge_small_shapes(which, shapes, lambda shape: rows_of(shape, **self.sizes))

    def make(self, split, row_lengths, fill):
        """The pipeline of a split.

        Args:
            split: `"train"`, whose batches are shuffled and full, or another.
            row_lengths: (N, C) integers.
            fill: see `make_dataset`.

        Returns:
            `(dataset, plan)`.

        Raises:
            ValueError: if a row is longer than the budget of tokens, or training rows do not fill
                a batch.
        """
        check_budget(self.sizes["max_tokens"], int(row_lengths.max(initial=0)))
        is_train = split == "train"
        full = is_train and (self.shapes is not None or self.sizes["max_tokens"] is None)
        plan = plan_batches(row_lengths, **self.sizes, shapes=self.shapes, drop_last=full)
        if is_train and not len(plan):
            raise ValueError(
                f"`batch_size` must be at most {len(row_lengths):,}, the number of training "
                f"{self.unit} that are left. Received: {self.sizes['batch_size']}. Take a smaller "
                "one, or greater lengths."
            )
        return make_dataset(plan, fill, shuffle=is_train, seed=self.seed), plan

"""What the splits of a dataset are called, and what is held out where one is missing."""

import hashlib

# What people call the three splits; the first is ours.
ALIASES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
HELD_OUT_FRACTION, HELD_OUT_LIMIT = 0.02, 2_000


def our_splits(found):
    """Of a dict from split name to anything, those that count as train, validation and test."""
    named = {ours: next((a for a in names if a in found), None) for ours, names in ALIASES.items()}
    return {ours: found[name] for ours, name in named.items() if name is not None}


def choose_held_out(keys):
    """Chooses which examples of the train split become a split that is missing.

    2 % of them, at most 2,000, or all of the rarest key where each has more. Which ones depends
    on their keys alone, so they are the same every time, and examples of one key stay together.

    Args:
        keys: list of `bytes`, the content of each example, such as its text.

    Returns:
        List of booleans, True for those held out; something is always left to train on.

    Raises:
        ValueError: if there are fewer than two distinct keys.
    """
    wanted = min(HELD_OUT_LIMIT, max(1, round(HELD_OUT_FRACTION * len(keys))))
    counts = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    if len(counts) < 2:
        raise ValueError(
            "The dataset must have at least two distinct examples in 'train', to hold one out "
            f"for the missing split. Received: {len(counts)}. Add a validation and a test split."
        )

    def order(key):
        return hashlib.blake2b(key, digest_size=16).digest()

    held, in_order = set(), sorted(counts, key=order)
    for key in in_order[:-1]:
        if counts[key] <= wanted:
            held.add(key)
            wanted -= counts[key]
        if wanted == 0:
            break
    if not held:
        held = {min(in_order, key=counts.get)}
    return [key in held for key in keys]


def complete(columns, key, dropped=None):
    """Holds out of train what validation and test lack.

    Args:
        columns: dict from split name to a dict from column to a list or array, one item an example.
        key: name of the column whose content decides.
        dropped: dict from split name to counts, which gets an entry for each new split.

    Returns:
        Such a dict with the three splits.
    """
    splits = dict(columns)
    for split in ("validation", "test"):
        if split in splits:
            continue
        held = choose_held_out([as_bytes(item) for item in splits["train"][key]])
        rest = [not h for h in held]
        splits[split] = {name: pick(items, held) for name, items in splits["train"].items()}
        splits["train"] = {name: pick(items, rest) for name, items in splits["train"].items()}
        if dropped is not None:
            dropped[split] = dict.fromkeys(dropped["train"], 0)
    return {name: splits[name] for name in ALIASES}


def as_bytes(item):
    """The content of an example: a text's or an array's."""
    if isinstance(item, str):
        return item.encode("utf-8", "surrogatepass")
    return item if isinstance(item, bytes) else item.tobytes()


def pick(items, keep):
    """The items for which `keep` is True, as a list or an array, as they are."""
    if isinstance(items, list):
        return [item for item, kept in zip(items, keep, strict=True) if kept]
    return items[keep]

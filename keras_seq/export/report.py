"""What an export is said to be, and the error when it is not."""

import dataclasses


class ExportError(RuntimeError):
    """An exported file could not be made, loaded or run, or does not agree with the model."""


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What was exported and how it was proved. Prints as a table.

    Attributes:
        format: "SavedModel" or "LiteRT".
        path: of the file or folder.
        size: in bytes.
        ops: how often each operator occurs.
        signatures: what the artifact takes and gives, one line for each signature.
        inputs: how many inputs were run through the artifact and through the Keras model.
        tokens: how many tokens were compared.
        tokens_equal: how many of them are equal. An export is refused unless all are.
        largest_difference: largest absolute difference between the sequences' scores (natural
            logarithms of probabilities).
        latency: median milliseconds for one input, run alone in the artifact.
        model_latency: the same for the Keras model's compiled `generate`.
    """

    format: str
    path: str
    size: int
    ops: dict
    signatures: dict
    inputs: int = 0
    tokens: int = 0
    tokens_equal: int = 0
    near_ties: int = 0
    largest_difference: float = 0.0
    latency: float = 0.0
    model_latency: float = 0.0

    @property
    def agrees(self):
        """Whether inputs were compared and all tokens are equal."""
        return self.tokens > 0 and self.tokens_equal == self.tokens

    def rows(self):
        """The table, as pairs of name and value."""
        shown = sorted(self.ops.items(), key=lambda item: (-item[1], item[0]))
        names = ", ".join(f"{name} {count}" for name, count in shown[:6])
        rows = [
            ("file", self.path),
            ("size", readable_size(self.size)),
            ("operators", f"{len(self.ops)} kinds: {names}" + (", ..." if len(shown) > 6 else "")),
        ]
        rows += [(f"signature {name}", line) for name, line in self.signatures.items()]
        if self.inputs:
            rows += [
                ("inputs compared", f"{self.inputs:,}"),
                ("tokens equal", f"{self.tokens_equal:,} of {self.tokens:,}"),
                ("largest score difference", f"{self.largest_difference:.1e}"),
                ("latency, one input", f"{self.latency:.2f} ms"),
                ("the model's own generate", f"{self.model_latency:.2f} ms"),
            ]
        return rows

    def __str__(self):
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join([self.format] + [f"  {name:<{width}}  {value}" for name, value in rows])


def readable_size(size):
    """Bytes with a unit: "517 B", "36.2 KB", "5.4 MB"."""
    if size < 1000:
        return f"{size} B"
    for unit in ("KB", "MB", "GB"):
        size /= 1000
        if size < 1000 or unit == "GB":
            return f"{size:.1f} {unit}"

"""`ExportReport`, the result of an export, and `ExportError`, raised where there is none."""

import dataclasses


class ExportError(RuntimeError):
    """An artifact could not be written, loaded or run, or does not agree with its model."""


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """An exported artifact, and how its outputs compare with the model's. Prints as a table.

    Attributes:
        format: "SavedModel" or "LiteRT", or the `format` of another `ExportTarget`.
        path: of the file or folder.
        size: in bytes.
        ops: how often each operator occurs.
        signatures: dict from signature name to a line with its inputs and outputs.
        inputs: how many inputs were compared: sequences, or calls of a model without tokens.
        tokens: how many new tokens of a generator were compared.
        tokens_equal: how many of them are those of the model's own call, or drawn from it with the
            same seed. All, or the export is refused; of a quantized file `min_agreement` of them.
        min_agreement: fraction of the tokens that must be equal, 1 where nothing is quantized.
        near_ties: how many of these differ because the model finds two tokens equally likely within
            `atol`.
        values: how many numbers of a model's outputs were compared.
        largest_difference: of scores (natural logarithms of probabilities), or of the outputs of a
            model, divided by the largest number of an output where that is above 1.
        metric: `(name, of the model, of the artifact)`, where `verify` is given one.
        atol: tolerance of `largest_difference`.
        latency: median milliseconds of a call of the artifact, on one thread.
        custom_ops: of a description (`python -m keras_seq.export FILE`): operators that are not
            built into LiteRT or TensorFlow; `None` where it is not known.
        latencies: dict from further signatures (`prefill`, `step`) to median milliseconds of a call
            on one thread; of a description those of all, on random inputs, or the reason why there
            are none.
        memory: bytes that a LiteRT file takes when it runs: how much the memory of the process that
            runs it grows, arenas and copies of weights, the mapped file itself not counted. On
            Linux, to some 100 KB.
        xla_latency: the same of a SavedModel's signature that XLA compiles, where there is one.
        model_latency: the same of the Keras model's compiled graph, or of `Generator.generate`.
    """

    format: str
    path: str
    size: int
    ops: dict = dataclasses.field(default_factory=dict)
    signatures: dict = dataclasses.field(default_factory=dict)
    inputs: int = 0
    tokens: int = 0
    tokens_equal: int = 0
    near_ties: int = 0
    values: int = 0
    largest_difference: float = 0.0
    atol: float = 0.0
    min_agreement: float = 1.0
    metric: tuple = ()
    latency: float = float("nan")
    xla_latency: float = float("nan")
    custom_ops: list | None = None
    latencies: dict = dataclasses.field(default_factory=dict)
    memory: float = float("nan")
    model_latency: float = float("nan")

    @property
    def agrees(self):
        """Whether something was compared, enough of it is equal and no number differs too much."""
        return (
            self.tokens + self.values > 0
            and self.tokens_equal >= self.min_agreement * self.tokens
            and self.largest_difference <= self.atol
        )

    def rows(self):
        """The table, as pairs of name and value."""
        rows = [("path", self.path), ("size", readable_size(self.size))]
        if self.ops:
            shown = sorted(self.ops.items(), key=lambda item: (-item[1], item[0]))
            names = ", ".join(f"{name} {count}" for name, count in shown[:6])
            more = ", ..." if len(shown) > 6 else ""
            rows.append(("operators", f"{len(self.ops)} kinds: {names}{more}"))
        if self.custom_ops is not None:
            rows.append(("not built in", ", ".join(self.custom_ops) or "none"))
        rows += [(f"signature {name}", line) for name, line in self.signatures.items()]
        rows += self._comparison()
        random = ", random inputs" if self.custom_ops is not None else ""
        for name, latency in (
            ("latency, one call, one thread", self.latency),
            ("the same compiled by XLA", self.xla_latency),
            ("latency of the Keras model", self.model_latency),
            *((f"latency of {name}{random}", t) for name, t in self.latencies.items()),
        ):
            if latency == latency:  # not NaN
                rows.append((name, latency if isinstance(latency, str) else f"{latency:.2f} ms"))
        if self.memory == self.memory:
            rows.append(("memory when run", readable_size(self.memory)))
        return rows

    def _comparison(self):
        if not self.tokens + self.values:  # a description
            return []
        rows = [("inputs compared", f"{self.inputs:,}")]
        if self.tokens:
            ties = f" ({self.near_ties:,} near ties)" if self.near_ties else ""
            rows.append(("tokens equal", f"{self.tokens_equal:,} of {self.tokens:,}{ties}"))
        if self.values:
            rows.append(("numbers compared", f"{self.values:,}"))
        what = "largest score difference" if self.tokens else "largest difference"
        rows.append((what, f"{self.largest_difference:.1e} (tolerance {self.atol:g})"))
        if self.metric:
            name, model, artifact = self.metric
            rows.append((name, f"{artifact:.5g} (of the Keras model {model:.5g})"))
        return rows

    def __str__(self):
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join([self.format] + [f"  {name:<{width}}  {value}" for name, value in rows])


def readable_size(size):
    """Bytes with a unit: "517 B", "36.2 KB", "5.4 MB"."""
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("KB", "MB", "GB"):
        size /= 1000
        if size < 1000 or unit == "GB":
            return f"{size:.1f} {unit}"

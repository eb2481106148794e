"""`ExportTarget`: a format that models are exported to, and `to`, the way of every export."""

import dataclasses

from keras_seq.export._atomic_write import atomic_write
from keras_seq.export._exported_model import ExportedModel
from keras_seq.export.report import ExportReport
from keras_seq.saving._atomic_write import checked_path, size_of

_TARGETS = {}
# What a report takes from a run.
_FACTS = ("ops", "signatures", "latency", "latencies", "xla_latency", "memory")


class ExportTarget:
    """A format that models are exported to.

    A subclass says how an artifact is written and how it is run; `to` does the rest: it writes to a
    temporary place, runs what was written, compares the outputs with the model's own call on the
    whole sequences, and puts the artifact in its place if they agree.

    Attributes:
        format: name of the format, for reports and errors.

    Example:

    ```python
    import pathlib

    import keras
    import numpy as np
    import keras_seq

    SCRIPT = '''
    import sys, numpy as np
    path, inputs, outputs = sys.argv[1:]
    kernel, bias = np.load(path).values()
    results = {key[:2] + "y": x @ kernel + bias for key, x in np.load(inputs).items()}
    np.savez(outputs, **results)
    '''

    class Archive(keras_seq.export.ExportTarget):
        format = "NumPy archive"

        def recognizes(self, path):
            return path.is_file()

        def write(self, exported, path):
            with open(path, "wb") as file:
                np.savez(file, *exported.model.get_weights())

        def run(self, exported, path):
            return keras_seq.export.run_artifact("run_archive.py", path, exported.calls)

    pathlib.Path("run_archive.py").write_text("\\n".join(map(str.strip, SCRIPT.splitlines())))
    keras_seq.export.register_target("archive", Archive())
    x = keras.Input((None, 4))
    model = keras.Model(x, keras.layers.Dense(3, name="y")(x))
    print(keras_seq.export.to("archive", model, "model.npz"))
    ```
    """

    format = None

    def prepare(self, model, inputs=None, atol=1e-5):
        """Check what is exported, before any work.

        Args:
            model: what the user gave.
            inputs: arrays to compare on, random ones if `None`.
            atol: tolerance of the outputs.
            **: options of `to` that a subclass takes.

        Returns:
            `ExportedFunction`, here an `ExportedModel`.

        Raises:
            TypeError, ValueError: if it cannot be exported.
        """
        return ExportedModel(model, inputs, atol)

    def prepare_existing(self, path, model, **options):
        """As `prepare`, for an artifact that exists already and is verified."""
        return self.prepare(model, **options)

    def recognizes(self, path):
        """Whether the file or folder at a `pathlib.Path` is of this format, so that an export may
        replace it and `verify` knows how to run it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `recognizes`.")

    def write(self, exported, path):
        """Write the artifact, a file or a folder.

        Args:
            exported: what `prepare` gave.
            path: `pathlib.Path` where nothing exists yet.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `write`.")

    def add_digest(self, path):
        """Put a checksum into the artifact that `write` wrote, where the format has a place."""

    def check_digest(self, path):
        """Raise `ExportError` if an artifact is not what its checksum says."""

    def run(self, exported, path):
        """Call the artifact at `path` with each of `exported.calls`, in a process of its own.

        Returns:
            `ArtifactRun`, as `run_artifact` gives.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `run`.")


def register_target(name, target):
    """Make a target known to `to` by a name, and to `verify`.

    Args:
        name: string; a target of the same name is replaced.
        target: `ExportTarget`.

    Raises:
        TypeError: if it is none.

    Example:

    ```python
    import keras_seq

    class Nothing(keras_seq.export.ExportTarget):
        format = "nothing at all"

        def recognizes(self, path):
            return False

    keras_seq.export.register_target("nothing", Nothing())
    ```
    """
    if not isinstance(target, ExportTarget):
        raise TypeError(
            "`target` of register_target must be a keras_seq.export.ExportTarget, an object and "
            f"no class. Received: {target!r}"
        )
    if not isinstance(name, str) or not name or not isinstance(target.format, str):
        raise TypeError(
            "`name` of register_target and the target's `format` must be strings. "
            f"Received: {name!r} and {target.format!r}"
        )
    _TARGETS[name] = target


def find_target(name):
    """The registered target of a name."""
    if name not in _TARGETS:
        raise ValueError(
            f"`target` must be one of {sorted(_TARGETS)}, or be registered with "
            f"keras_seq.export.register_target. Received: {name!r}"
        )
    return _TARGETS[name]


def recognized_target(path):
    """The target that recognizes an artifact, the one registered first if several do, or `None`."""
    return next((t for t in _TARGETS.values() if t.recognizes(path)), None)


def to(target, model, path, **options):
    """Export to a registered target.

    The artifact is written to a temporary place, run in a process of its own, and compared with the
    model's own call on whole sequences, before it appears at `path`.

    Args:
        target: name of the target: "litert", "saved_model" or one of `register_target`.
        model: what to export.
        path: of the artifact. One of the same format that exists there is replaced; a symbolic
            link is followed.
        **options: those of the target, see `to_litert`, `to_saved_model`, `ExportTarget.prepare`.

    Returns:
        `ExportReport`.

    Raises:
        TypeError, ValueError: if an argument is wrong, before any work.
        ExportError: if the artifact cannot be written, loaded or run, or does not agree with the
            model. Then nothing is left at `path` but what was there before.

    Example:

    ```python
    import keras
    import keras_seq

    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, keras_seq.layers.GRU(8, return_sequences=True, name="y")(x))
    print(keras_seq.export.to("litert", model, "model.tflite", time=10))
    ```
    """
    return export_to(find_target(target), model, path, **options)


def export_to(target, model, path, **options):
    """`to` with an `ExportTarget`."""
    checked_path(path)
    exported = target.prepare(model, **options)
    with atomic_write(path, target.recognizes) as temporary:
        target.write(exported, temporary)
        target.add_digest(temporary)
        report = run_and_compare(target, exported, temporary)
    return dataclasses.replace(report, path=str(path))


def run_and_compare(target, exported, path, metric=None):
    """`ExportReport` of an artifact.

    Args:
        metric: see `verify`.

    Raises:
        ExportError: if it cannot be run or does not agree with the model.
    """
    outputs, facts = target.run(exported, path)
    compared = exported.compare(f"The {target.format} artifact", outputs)
    if metric is not None:
        name = getattr(metric, "__name__", type(metric).__name__)
        compared["metric"] = (name, *(float(metric(o)) for o in exported.both_outputs(outputs)))
    return ExportReport(
        format=target.format,
        path=str(path),
        size=size_of(path),
        model_latency=exported.model_latency(),
        **{name: facts[name] for name in _FACTS if name in facts},
        **compared,
    )

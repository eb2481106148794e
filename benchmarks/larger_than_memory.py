"""Memory of `language_model(cache=FOLDER)` over sharded records, as the data grow.

    python benchmarks/larger_than_memory.py
    python benchmarks/larger_than_memory.py --gigabytes 0.2 1 --formats tfrecord --limit 2

For each file format and size, one process writes text to 16 shards of a TFDS dataset. A second one
may not have more than --limit GB (RLIMIT_DATA: all memory but files that are mapped for reading),
and the table tells of it: it tokenizes the shards into token files (bytes as int32, --gigabytes of
them), then reads one whole pass of shuffled training batches, 32 blocks of 1,024 tokens each.
"peak" is the most resident memory of its own (RssAnon of /proc/self/status, every 20 ms).
Pages of the token files are not in it: the system takes them back when it needs them.

The data, 1.25 times --gigabytes and the token files of the next size, lie in --folder and are
deleted. Linux only.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

DOCUMENT = 2**14  # bytes
TOKEN_BYTES, SHARDS, BATCH, STEPS = 4, 16, 32, 1024


def builder_of(folder, file_format, documents=None):
    """TFDS builder of so many documents of random letters, of which no two are equal."""
    import numpy as np
    import tensorflow_datasets as tfds

    class LargeText(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager):
            others = max(documents // 100, SHARDS)
            return {
                "train": self._generate_examples(0, documents),
                "validation": self._generate_examples(documents, documents + others),
                "test": self._generate_examples(documents + others, documents + 2 * others),
            }

        def _generate_examples(self, begin, end):
            rng = np.random.default_rng(begin)
            letters = rng.integers(97, 123, 2**24).astype("uint8").tobytes()
            for i in range(begin, end):
                start = int(rng.integers(len(letters) - DOCUMENT))
                yield i, {"text": b"%12d" % i + letters[start : start + DOCUMENT - 13]}

    return LargeText(data_dir=folder, file_format=file_format)


def write(folder, file_format, gigabytes):
    import tensorflow_datasets as tfds

    documents = round(gigabytes * 1e9 / TOKEN_BYTES / DOCUMENT)
    config = tfds.download.DownloadConfig(num_shards=SHARDS)
    builder_of(folder, file_format, documents).download_and_prepare(download_config=config)


class PeakMemory(threading.Thread):
    """The most resident memory of the process that is not mapped from files, in bytes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.ended = 0, threading.Event()

    def run(self):
        while not self.ended.wait(0.02):
            status = pathlib.Path("/proc/self/status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
            self.peak = max(self.peak, int(line.split()[1]) * 1024)

    def stop(self):
        self.ended.set()
        self.join()
        return self.peak


def measure(folder, file_format, limit):
    """Prints what the second process sees, as JSON."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 1e9),) * 2)
    from keras_seq.data import language_model

    builder_of(folder, file_format)  # registers the name
    memory = PeakMemory()
    memory.start()
    start = time.perf_counter()
    data = language_model(
        "large_text",
        data_dir=folder,
        cache=os.path.join(folder, "tokens"),
        tokenizer="byte",
        sequence_length=STEPS,
        batch_size=BATCH,
    )
    made = time.perf_counter() - start
    peak_made, memory = memory.stop(), PeakMemory()
    memory.start()
    start, tokens = time.perf_counter(), 0
    for inputs, _ in data.train:
        tokens += inputs.shape[0] * inputs.shape[1]
    read = time.perf_counter() - start
    files = [f for f in pathlib.Path(folder, "tokens").iterdir() if f.suffix == ".tokens"]
    report = {
        "bytes": sum(file.stat().st_size for file in files),
        "tokens": tokens,
        "made": made,
        "read": read,
        "peak made": peak_made,
        "peak read": memory.stop(),
    }
    print(json.dumps(report))


def in_process(part, *arguments):
    """Runs a part of this script in a process of its own; gives the last line that it prints."""
    command = [sys.executable, __file__, "--part", part, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{part} ended with {run.returncode}: {run.stderr[-2000:]}")
    return run.stdout.strip().splitlines()[-1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", nargs="+", type=float, default=[0.2, 4.5])
    parser.add_argument("--formats", nargs="+", default=["tfrecord", "array_record"])
    parser.add_argument("--limit", type=float, default=3.0)
    parser.add_argument("--folder", help="where the data are written (default: a temporary one)")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part, folder, file_format, number = options.part
        {"write": write, "measure": measure}[part](folder, file_format, float(number))
        return
    head = ("shards", "tokens, GB", "limit, GB", "peak, GB", "peak read", "M tokens/s", "read")
    print(("{:<14}" + "{:>12}" * 6).format(*head), flush=True)
    for file_format in options.formats:
        for gigabytes in options.gigabytes:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                in_process("write", folder, file_format, gigabytes)
                report = json.loads(*in_process("measure", folder, file_format, options.limit))
            peaks = report["peak made"] / 1e9, report["peak read"] / 1e9
            tokens, files = report["tokens"] / 1e6, report["bytes"]
            print(
                f"{file_format:<14}{files / 1e9:>12.2f}{options.limit:>12.1f}"
                f"{peaks[0]:>12.2f}{peaks[1]:>12.2f}"
                f"{files / TOKEN_BYTES / 1e6 / report['made']:>12.1f}"
                f"{tokens / report['read']:>12.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

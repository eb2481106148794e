"""What the figures of a benchmark depend on: the processor and its memory."""

import os
import pathlib
import platform
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np


def describe_host(threads=None):
    """One line: CPU model, threads, and the memory's bandwidth for that many threads."""
    threads = threads or len(os.sched_getaffinity(0))
    return f"{cpu_model()}, {threads} threads, memory reads {bandwidth(threads):.1f} GB/s"


def cpu_model():
    """The processor's name, where the system tells it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def bandwidth(threads, size=2**28, repeats=10):
    """GB/s that `threads` threads read of a float32 array of `size` bytes, larger than caches."""
    parts = np.array_split(np.ones(size // 4, "float32"), threads)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            list(pool.map(np.max, parts))  # NumPy lets go of the interpreter's lock
            best = min(best, time.perf_counter() - start)
    return size / best / 1e9

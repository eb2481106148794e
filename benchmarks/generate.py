"""Tokens per second of greedy and beam search, keras_seq against its peers, on a CPU.

    pip install -e ".[bench,peers]"
    python benchmarks/generate.py
    python benchmarks/generate.py --models translation-base --batches 1 --rounds 5 \
        --systems keras_seq keras_seq_int8 ctranslate2_int8 --searches greedy

Every system runs a model of the same sizes with random weights and makes exactly as many tokens as
it is asked for: there is no end token. Each system lives in a process of its own and the processes
alternate, so that a busy moment of the machine hits all of them. Every process is held to the
first `--threads` processors and to as many threads. The first generation, which compiles or
converts, stands in a column of its own. What counts is the median over `--rounds`, and the ratio of
medians. A small batch reads all weights for every token, so the memory's bandwidth is printed, too.

The peers are imported from the interpreter that runs this script. `--peers-python` names a second
interpreter, for those that want an environment of their own (transformers, ctranslate2, torch). A
system that cannot be imported, or cannot do what a row asks, is left out with a line that says why.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from host import describe_host

SYSTEMS = {
    "keras_seq": "keras_seq, TensorFlow XLA",
    "keras_seq_jax": "keras_seq, JAX",
    "keras_seq_litert": 'keras_seq, engine="litert"',
    "keras_seq_int8": 'keras_seq, weights="int8"',
    "keras_hub": "KerasHub, TensorFlow XLA",
    "keras_hub_jax": "KerasHub, JAX",
    "transformers": "Hugging Face transformers, PyTorch",
    "ctranslate2": "CTranslate2 float32",
    "ctranslate2_int8": "CTranslate2 int8",
}
MODELS = {
    "translation-small": {"layers": 4, "width": 128, "heads": 4, "inner": 512},
    "translation-base": {"layers": 6, "width": 512, "heads": 8, "inner": 2048},
    "decoder-small": {"layers": 4, "width": 256, "heads": 4, "inner": 1024},
    "decoder-base": {"layers": 12, "width": 768, "heads": 12, "inner": 3072},
}
TRANSLATION = {"kind": "translation", "vocabulary": 8000, "given": 20, "new": 32}
DECODER = {"kind": "decoder", "vocabulary": 8000, "given": 16, "new": 128}
SEARCHES = {"greedy": 1, "beam": 4}


def main():
    options = parse()
    results, workers, missing = [], {}, set()
    print(describe_host(options.threads))
    try:
        for name in options.models:
            for search in options.searches:
                for batch in options.batches:
                    case = {
                        **(TRANSLATION if name.startswith("translation") else DECODER),
                        **MODELS[name],
                        "batch": batch,
                        "beams": SEARCHES[search],
                    }
                    title = f"{name}, {search}, batch {batch}"
                    times, first = measure(title, case, options, workers, missing)
                    results += [(name, search, batch, s, first[s], t) for s, t in times.items()]
                    print_case(title, case, times, first)
    finally:
        for worker in workers.values():
            worker.stop()
    if options.json:
        names = ("model", "search", "batch", "system", "first_call", "seconds")
        rows = [dict(zip(names, result, strict=True)) for result in results]
        options.json.write_text(json.dumps(rows, indent=1))


def measure(title, case, options, workers, missing):
    """Seconds a generation of every system that can do it, by system: lists, and first calls."""
    ready, first = {}, {}
    for system in options.systems:
        if system in missing:
            continue
        if system not in workers:
            workers[system] = Worker(system, options)
        say(f"{title}: {SYSTEMS[system]} compiles")
        answer = workers[system].ask({"prepare": case})
        if "error" in answer:
            print(f"skipped: {SYSTEMS[system]}, {title}: {answer['error']}")
            if answer.get("missing"):
                missing.add(system)
                workers.pop(system).stop()
        else:
            ready[system], first[system] = [], answer["first"]
    for i in range(options.rounds):
        for system, seconds in ready.items():
            say(f"{title}: round {i + 1} of {options.rounds}, {SYSTEMS[system]}")
            time.sleep(options.pause)  # threads of the last system spin for a while
            seconds.append(workers[system].ask({"run": True})["seconds"])
    say("")
    return ready, first


class Worker:
    """A process that runs one system, see generate_worker.py."""

    def __init__(self, system, options):
        own = system.startswith("keras")
        python = sys.executable if own else options.peers_python
        script = pathlib.Path(__file__).with_name("generate_worker.py")
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        environment["KERAS_BACKEND"] = "jax" if system.endswith("_jax") else "tensorflow"
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            [python, str(script), system, str(options.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if options.verbose else subprocess.DEVNULL,
            env=environment,
            text=True,
        )

    def ask(self, request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            return {"error": f"its process ended with code {code}", "missing": True}
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def print_case(title, case, times, first):
    if not times:
        return
    medians = {system: statistics.median(seconds) for system, seconds in times.items()}
    own = next(s for s in ("keras_seq", *medians) if s in medians)
    tokens = case["batch"] * case["new"]
    print(f"\n{title}: {case['given']} tokens given, {case['new']} new, a row")
    heading = f"{SYSTEMS[own]} is"
    columns = f"{'tokens/s':>10}{'ms a step':>11}{'spread':>8}{'first call':>12}"
    print(f"{'system':<36}{columns}   {heading}")
    for system, median in medians.items():
        seconds = times[system]
        spread = (max(seconds) - min(seconds)) / median
        ratio = median / medians[own]
        print(
            f"{SYSTEMS[system]:<36}{tokens / median:>10,.0f}{1e3 * median / case['new']:>11.2f}"
            f"{spread:>8.0%}{first[system]:>10.1f} s   {ratio:.2f}x as fast"
        )
    print(flush=True)


def say(text):
    """Show progress on one line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text:<90.90}", end="" if text else "\r", file=sys.stderr, flush=True)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    several = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--systems", choices=SYSTEMS, default=list(SYSTEMS), **several)
    parser.add_argument("--models", choices=MODELS, default=list(MODELS), **several)
    parser.add_argument("--searches", choices=SEARCHES, default=list(SEARCHES), **several)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32], metavar="B")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds before each generation")
    parser.add_argument("--peers-python", default=sys.executable, metavar="PATH")
    parser.add_argument("--json", type=pathlib.Path, metavar="PATH", help="write all times there")
    parser.add_argument("--verbose", action="store_true", help="show what the systems print")
    return parser.parse_args()


if __name__ == "__main__":
    main()

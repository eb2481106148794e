"""Runs one system of generate.py in a process of its own.

    python generate_worker.py SYSTEM THREADS

It reads one request a line from standard input and answers each with one line of JSON:
`{"prepare": case}` builds the case's model, generates, and tells the seconds that the first call
took, `{"run": true}` generates once more and tells its seconds.
"""

import importlib
import json
import os
import sys
import time

MODULES = {
    "keras_seq": "peers_keras_seq",
    "keras_hub": "peers_keras_hub",
    "transformers": "peers_torch",
    "ctranslate2": "peers_torch",
}


def main():
    system, threads = sys.argv[1], int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not mix with the answers
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    generate = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "prepare" in request:
                generate = None  # the last case's memory is free before the next is built
                generate, first = prepare(system, request["prepare"], threads)
                answer = {"first": first}
            else:
                began = time.perf_counter()
                generate()
                answer = {"seconds": time.perf_counter() - began}
        except ImportError as error:
            answer = {"error": str(error), "missing": True}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        print(json.dumps(answer), file=answers, flush=True)


def prepare(system, case, threads):
    """A function that generates once, warm, and the seconds of its first call, which is checked."""
    name = next(name for name in MODULES if system.startswith(name))
    generate = importlib.import_module(MODULES[name]).build(system, case, threads)
    began = time.perf_counter()
    tokens = generate()
    first = time.perf_counter() - began
    expected = (case["batch"], case["new"])
    got = (len(tokens), len(tokens[0]))
    if got != expected:
        raise ValueError(f"it made {got} tokens, not {expected}")
    generate()
    return generate, first


if __name__ == "__main__":
    main()

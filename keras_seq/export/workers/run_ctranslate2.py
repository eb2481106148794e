"""Call a CTranslate2 folder of keras_seq with CTranslate2 and NumPy alone, and time it.

Usage: run_ctranslate2.py FOLDER INPUTS.npz OUTPUTS.npz

The inputs are arrays named CALL:NAME, ids of one context input or of `prompt`, padded on the right.
"""

import json
import pathlib
import sys
import time

import ctranslate2
import numpy as np
from numbered_calls import read_calls

REPEATS = 20

path, inputs_path, outputs_path = sys.argv[1:]
facts = json.loads((pathlib.Path(path) / "keras_seq.json").read_text(encoding="utf-8"))
translates = facts["kind"] == "translator"
loaded = (ctranslate2.Translator if translates else ctranslate2.Generator)(
    path, device="cpu", inter_threads=1, intra_threads=1
)
run = loaded.translate_batch if translates else loaded.generate_batch
penalty = facts["options"]["length_penalty"]


def tokens_of(ids):
    """CTranslate2's tokens, ids in decimal, without padding on the right that the model masks."""
    if facts["padding"] is not None:
        ids = ids[: np.flatnonzero(ids != facts["padding"])[-1] + 1]
    return [str(i) for i in ids]


def call(rows):
    """Tokens and log-probabilities of some rows.

    Prompts go by their length: of longer ones in a batch CTranslate2 takes the surplus for new.
    """
    found, scores = [None] * len(rows), np.zeros(len(rows), "float32")
    for length in {0 if translates else len(row) for row in rows}:
        places = [i for i, row in enumerate(rows) if translates or len(row) == length]
        results = run([rows[i] for i in places], **facts["options"])
        for i, result in zip(places, results, strict=True):
            found[i] = result.hypotheses[0] if translates else result.sequences[0]
            # A score is log p / length^penalty; the length counts the end token.
            scores[i] = result.scores[0] * max(1, len(found[i])) ** penalty
    return found, scores


calls = read_calls(inputs_path)
sequences, results, times = {}, {}, []
for number in calls:
    (ids,) = calls[number].values()
    rows = [tokens_of(row) for row in ids]
    found, scores = call(rows)
    given = [[]] * len(rows) if translates else rows
    sequences[number] = [[*map(int, g + f)] for g, f in zip(given, found, strict=True)]
    results[f"{number}:scores"] = scores
    if len(ids) == 1 and len(times) < REPEATS:
        began = time.perf_counter()
        call(rows)
        times.append(time.perf_counter() - began)
width = max(len(row) for rows in sequences.values() for row in rows)
for number, rows in sequences.items():
    padded = [row + [facts["pad_token"]] * (width - len(row)) for row in rows]
    results[f"{number}:tokens"] = np.array(padded, "int32")
report = {"signatures": {run.__name__: ", ".join(f"{n}={v}" for n, v in facts["options"].items())}}
if times:
    report["latency"] = 1e3 * float(np.median(times))
np.savez(outputs_path, report=json.dumps(report), **results)

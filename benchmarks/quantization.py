"""LiteRT files of a trained translator: size, latency and BLEU in float32, float16, int8 weights.

    python examples/translate.py --dataset PATH/TO/multi30k --source de --target en
    python benchmarks/quantization.py saved_models/multi30k_de_en_transformer/translator.keras_seq \
        PATH/TO/multi30k/de.test.txt PATH/TO/multi30k/en.test.txt

Each file is written by `keras_seq.export.to_litert`, which compares it with the Keras model on the
first eight sources, and run by `keras_seq.runtime.LiteRTGenerator`, one sentence a call, one
thread. The files alternate sentence by sentence; the latency is the median.
"""

import argparse
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import sacrebleu

from keras_seq.export import to_litert
from keras_seq.generation import TextGenerator
from keras_seq.runtime import LiteRTGenerator

KINDS = (None, "float16", "dynamic_int8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("translator", help="a file of TextGenerator.save")
    parser.add_argument("sources", type=pathlib.Path, help="a text file, one sentence a line")
    parser.add_argument("references", type=pathlib.Path, help="their translations")
    options = parser.parse_args()
    sources, references = (
        path.read_text(encoding="utf-8").splitlines()
        for path in (options.sources, options.references)
    )
    translate = TextGenerator.load(options.translator)
    with tempfile.TemporaryDirectory() as folder:
        reports, files = {}, {}
        for kind in KINDS:
            path = pathlib.Path(folder) / f"{kind}.tflite"
            reports[kind] = to_litert(translate, path, inputs=sources[:8], quantize=kind)
            files[kind] = LiteRTGenerator(path)
        outputs, times = {kind: [] for kind in KINDS}, {kind: [] for kind in KINDS}
        for source in sources:
            for kind, file in files.items():
                began = time.perf_counter()
                outputs[kind].append(file(source))
                times[kind].append(time.perf_counter() - began)
    print(f"{'':<14}{'MB':>7}{'BLEU':>8}{'equal texts':>13}{'ms a sentence':>15}")
    for kind in KINDS:
        bleu = sacrebleu.BLEU().corpus_score(outputs[kind], [references]).score
        equal = np.mean([a == b for a, b in zip(outputs[kind], outputs[None], strict=True)])
        print(
            f"{kind or 'float32':<14}{reports[kind].size / 1e6:>7.1f}{bleu:>8.2f}{equal:>13.1%}"
            f"{1e3 * np.median(times[kind]):>15.1f}"
        )


if __name__ == "__main__":
    main()

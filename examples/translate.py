"""Train a translator, look at what it does, export it, and compare the exports with it.

    python examples/translate.py                       # dates as people write them -> ISO 8601
    python examples/translate.py --model rnn
    python examples/translate.py --dataset PATH/TO/multi30k --model transformer --epochs 3
    python examples/translate.py --quick               # a tiny model of a few hundred dates

The first two need one to two minutes of training on two CPU cores and reach 99 % exact match or
more on 2,000 held-out dates. `--dataset` takes the name of any translation dataset of TensorFlow
Datasets, or a folder of parallel text with files LANGUAGE.SPLIT.txt.
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import keras_seq

DATES = "date_translation"
# What differs between the small made-up task and real text, where the command line does not say.
DATE_DEFAULTS = {"tokenizer": "character", "learning_rate": 3e-3, "dropout": 0.0, "layers": 1}
DATE_EPOCHS = {"rnn": 2, "transformer": 3}
DATE_SIZE = {"rnn": 128, "transformer": 64}
TEXT_DEFAULTS = {
    "tokenizer": "subword",
    "learning_rate": 2e-3,
    "dropout": 0.1,
    "layers": 2,
    "epochs": 10,
}
QUICK = {
    "epochs": 8,
    "size": 32,
    "batch_size": 32,
    "train_examples": 480,
    "compare": 8,
    "output": "saved_models/quick",
}


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", choices=["rnn", "transformer"], default="rnn")
    add("--dataset", default=DATES, help="TFDS name or folder of parallel text")
    add("--data-dir", help="where TFDS keeps its datasets")
    add("--source", help="column to translate from")
    add("--target", help="column to translate to")
    add("--tokenizer", choices=["character", "subword"])
    add("--vocabulary-size", type=int, default=4000)
    add("--epochs", type=int)
    add("--batch-size", type=int, default=64)
    add("--learning-rate", type=float)
    add("--dropout", type=float)
    add("--size", type=int, help="units of the RNN or width of the Transformer")
    add("--layers", type=int, help="blocks in each stack of the Transformer")
    add("--train-examples", type=int, help="use only so many training pairs")
    add("--compare", type=int, default=500, help="held-out inputs to compare the exports on")
    add("--output", type=pathlib.Path, default=pathlib.Path("saved_models"))
    add("--name", help="name of the artifacts")
    add("--seed", type=int, default=0)
    add("--retrain", action="store_true", help="train even if a model is there")
    add("--quick", action="store_true", help=f"few dates, and defaults {QUICK}")
    options = parser.parse_args(arguments)
    if options.quick:  # what the command line names goes before
        parser.set_defaults(**QUICK)
        options = parser.parse_args(arguments)
    dates = options.dataset == DATES
    defaults = DATE_DEFAULTS if dates else TEXT_DEFAULTS
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.epochs = options.epochs or DATE_EPOCHS[options.model]
    options.size = options.size or (DATE_SIZE[options.model] if dates else 128)
    if options.name is None:
        name = "dates" if dates else pathlib.Path(options.dataset).name.partition("/")[0]
        options.name = name if options.model == "rnn" else f"{name}_{options.model}"
    return options


def write_few_dates(options):
    """A folder of parallel text, because the whole dataset takes long to make."""
    folder = options.output / "few_dates"
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"train": options.train_examples, "validation": 96, "test": 96}
    for split, examples in keras_seq.data.date_translation.make_splits(sizes, options.seed).items():
        for column in ("source", "target"):
            texts = "\n".join(example[column] for example in examples)
            (folder / f"{column}.{split}.txt").write_text(texts, encoding="utf-8")
    return folder


def load_data(options):
    dates = options.dataset == DATES
    return keras_seq.data.translation(
        write_few_dates(options) if dates and options.quick else options.dataset,
        source=options.source,
        target=options.target,
        data_dir=options.data_dir,
        tokenizer=options.tokenizer,
        vocabulary_size=options.vocabulary_size,
        batch_size=options.batch_size,
        length_buckets=(20, 40) if dates else (16, 32, 64),
        train_examples=options.train_examples,
        seed=options.seed,
    )


def build_model(options, data):
    sizes = [t.vocabulary_size() for t in (data.source_tokenizer, data.target_tokenizer)]
    if options.model == "rnn":
        return keras_seq.models.seq2seq_rnn(
            *sizes, embedding_dim=options.size // 2, units=options.size, dropout=options.dropout
        )
    return keras_seq.models.transformer(
        *sizes,
        sequence_length=128,
        num_layers=options.layers,
        hidden_dim=options.size,
        intermediate_dim=4 * options.size,
        dropout=options.dropout,
    )


def train(options, model, data):
    steps = int(data.train.cardinality()) * options.epochs
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=options.learning_rate,
        warmup_steps=steps // 10,
        decay_steps=steps - steps // 10,
        alpha=0.01,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, beta_2=0.98, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=["accuracy"],
    )
    began = time.perf_counter()
    history = model.fit(
        data.train,
        validation_data=data.validation,
        epochs=options.epochs,
        shuffle=False,  # the pipeline shuffles
    ).history
    print(f"Trained {model.count_params():,} weights in {time.perf_counter() - began:.0f} s")
    return history


def load_or_train(options, data):
    """The trained model: a saved one if it was trained with the same settings, else a new one."""
    path = options.output / f"{options.name}.keras"
    settings_path = path.with_suffix(".json")
    settings = {
        k: str(v)
        for k, v in vars(options).items()
        if k not in ("retrain", "output", "compare", "data_dir")
    }
    if path.exists() and settings_path.exists() and not options.retrain:
        if json.loads(settings_path.read_text()) == settings:
            print(f"Loading {path}, trained earlier with these settings (--retrain trains anew)")
            return keras.models.load_model(path), False
    model = build_model(options, data)
    history = train(options, model, data)
    options.output.mkdir(parents=True, exist_ok=True)
    curves = options.output / f"{options.name}_learning_curves.png"
    keras_seq.plots.learning_curves(history, path=curves, title=options.name)
    model.save(path)
    settings_path.write_text(json.dumps(settings, indent=1))
    print(f"Saved {path} and {curves}")
    return model, True


def evaluate(options, data, translator):
    """Translate the held-out texts; print exact match, and BLEU on real text."""
    sources, targets = usable(translator, *data.texts["test"])
    began = time.perf_counter()
    outputs = translator(sources)
    seconds = time.perf_counter() - began
    equal = np.mean([a == b for a, b in zip(outputs, targets, strict=True)])
    print(f"Translated {len(sources):,} held-out texts in {seconds:.1f} s")
    print(f"Exact match: {100 * equal:.2f} %")
    if options.dataset != DATES:
        import sacrebleu

        metric = sacrebleu.BLEU()
        print(f"{metric.corpus_score(outputs, [targets])}\n  signature {metric.get_signature()}")
    return sources, targets, outputs


def usable(translator, sources, targets):
    """The pairs whose source is not longer than the model takes."""
    lengths = [len(row) for row in translator.source_tokenizer(sources)]
    pairs = zip(sources, targets, lengths, strict=True)
    kept = [(s, t) for s, t, n in pairs if n <= translator.source_length]
    if not kept:
        raise SystemExit("All held-out texts are longer than the model takes: raise its lengths.")
    if len(kept) < len(sources):
        print(f"Left out {len(sources) - len(kept)} held-out texts that are too long")
    return map(list, zip(*kept, strict=True))


def choose_samples(options, sources):
    """Rows to show: for dates Korean and English ones, else the first."""
    if options.dataset != DATES:
        return list(range(min(5, len(sources))))
    korean = [i for i, s in enumerate(sources) if any("가" <= c <= "힣" for c in s)]
    english = [i for i, s in enumerate(sources) if s.isascii() and " of " in f" {s.lower()} "]
    return korean[:4] + english[:4]


def draw_attention(options, model, data, translator, sources, outputs):
    """Save where the model looked in the source for each token that it wrote."""
    ids = translator.tokenize(sources)
    targets = [[data.start_id, *map(int, row)] for row in data.target_tokenizer(outputs)]
    width = max(map(len, targets))
    padded = np.array([row + [data.pad_id] * (width - len(row)) for row in targets], "int32")
    scores = keras_seq.inspection.attention_scores(model, {"source": ids, "target": padded})
    cross = [name for name, s in scores.items() if s.shape[-1] == ids.shape[1]]
    cross = [name for name in cross if not name.startswith("encoder")][-1]
    examples = []
    for i, (source, output) in enumerate(zip(sources, outputs, strict=True)):
        rows = [t for t in ids[i] if t != data.pad_id]
        names = [data.source_tokenizer.id_to_token(int(t)) for t in rows]
        written = [data.target_tokenizer.id_to_token(t) for t in targets[i][1:]] + ["</s>"]
        weights = scores[cross][i].mean(axis=0)[: len(written), : len(names)]
        examples.append((weights, names, written, f"{source} → {output}"))
    path = options.output / f"{options.name}_attention.png"
    keras_seq.plots.attention_maps(examples, path=path)
    print(f"Saved {path}")


def export(options, translator, sources, trained):
    """Write both artifacts, or verify those of an earlier run; print the reports."""
    saved_model = options.output / options.name / "1"
    litert = options.output / f"{options.name}.tflite"
    sources = sources[: options.compare]
    ids = translator.tokenize(sources)
    ids = np.pad(ids, ((0, 0), (0, translator.source_length - ids.shape[1])))
    generator = translator.generator
    if not trained and saved_model.exists() and litert.exists():
        print("\nVerifying the exports of an earlier run ...")
        reports = [
            keras_seq.export.verify(saved_model, translator, sources),
            keras_seq.export.verify(litert, generator, ids),
        ]
    else:
        print("\nExporting, and comparing with the Keras model ...")
        reports = [
            keras_seq.export.to_saved_model(translator, saved_model, texts=sources),
            keras_seq.export.to_litert(
                generator, litert, source_length=translator.source_length, inputs=ids
            ),
        ]
    for report in reports:
        print(f"\n{report}")


def main(arguments=None):
    began = time.perf_counter()
    options = parse_arguments(arguments)
    keras.utils.set_random_seed(options.seed)
    data = load_data(options)
    print(data)
    model, trained = load_or_train(options, data)
    generator = keras_seq.generation.Generator(
        model, max_length=data.target_length, start_token=data.start_id, end_token=data.end_id
    )
    translator = keras_seq.generation.TextGenerator(
        generator,
        data.source_tokenizer,
        data.target_tokenizer,
        source_length=data.source_length,
        unknown="ignore",
    )
    sources, targets, outputs = evaluate(options, data, translator)
    samples = choose_samples(options, sources)
    print("\nUnseen texts, translated:")
    for i in samples:
        note = "" if outputs[i] == targets[i] else f"   (expected {targets[i]})"
        print(f"  {sources[i]}  ->  {outputs[i]}{note}")
    shown = [i for i in samples if outputs[i]][::2][:4]
    if shown:
        texts = [sources[i] for i in shown], [outputs[i] for i in shown]
        draw_attention(options, model, data, translator, *texts)
    export(options, translator, sources, trained)
    print(f"\nDone in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

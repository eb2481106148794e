"""Train a translator, look at what it does, export it, and compare the exports with it.

    python examples/translate.py                       # dates as people write them -> ISO 8601
    python examples/translate.py --model transformer
    python examples/translate.py --quick               # a tiny model of a few hundred dates
    python examples/translate.py --dataset PATH/TO/multi30k --source de --target en
    python examples/translate.py ... --text "Ein Hund rennt."      # with what was trained

The first two need one to two minutes of training on two CPU cores and reach 99 % exact match or
more on 2,000 held-out dates; the fourth needs 24 minutes of one core and reaches 37.0 BLEU.
`--dataset` takes the name of any translation dataset of TensorFlow Datasets, or a folder of
parallel text, LANGUAGE.SPLIT.txt, which a Transformer learns unless `--model rnn` is given.
"""

import experiment  # first: it quiets TensorFlow
import keras
import numpy as np
import tensorflow as tf

import keras_seq
from keras_seq.generation import BeamSampler, Generator, TextGenerator

DATES = "date_translation"
QUICK = {"epochs": 8, "size": 32, "batch_size": 32, "train_examples": 480, "compare": 8}
# What the command line does not say. The recipe for text was chosen on the validation split of
# Multi30k, after that of Wu et al. 2021 (joint pieces, smoothed labels, batches of a number of
# tokens, beams, the mean of the last epochs), for a tenth of their epochs.
RECIPES = {
    "dates": {"tokenizer": "character", "vocabulary_size": 4000, "batch_size": 64, "layers": 1}
    | {"learning_rate": 3e-3, "dropout": 0.0, "label_smoothing": 0.0, "average": 1, "beams": 1}
    | {"compare": 500},
    "dates rnn": {"epochs": 2, "size": 128},
    "dates transformer": {"epochs": 3, "size": 64},
    "text": {"tokenizer": "bpe", "vocabulary_size": 5000, "max_tokens": 2048, "layers": 2}
    # The exports' beams are compared with those of the whole model, called anew for every token.
    | {"label_smoothing": 0.1, "average": 2, "beams": 5, "compare": 40},
    "text rnn": {"epochs": 5, "size": 384, "dropout": 0.3, "learning_rate": 2e-3},
    "text transformer": {"epochs": 8, "size": 256, "dropout": 0.15, "learning_rate": 1.5e-3},
    "text transformer to de": {"epochs": 26, "dropout": 0.2},  # German has more forms to learn
}
NOT_OF_TRAINING = ("text", "beams", "split", "compare")


def arguments(add):
    add("--model", choices=["rnn", "transformer"])
    add("--source", help="column to translate from")
    add("--target", help="column to translate to")
    add("--text", nargs="+", help="translate these, with the model trained by the same command")
    add("--tokenizer", help="a kind of keras_seq.data.train_tokenizer")
    add("--vocabulary-size", type=int)
    add("--max-tokens", type=int, help="of a batch, padding included")
    add("--size", type=int, help="units of the RNN or width of the Transformer")
    add("--layers", type=int, help="blocks in each stack of the Transformer")
    add("--dropout", type=float)
    add("--label-smoothing", type=float)
    add("--average", type=int, help="last epochs whose weights' mean is taken")
    add("--beams", type=int, help="of the search; 1 is greedy")
    add("--train-examples", type=int, help="use only so many training pairs")
    add("--split", default="test", help="what to evaluate on; choose settings on validation")
    add("--compare", type=int, help="held-out inputs to compare the exports on")


def complete(options):
    """Fill in what the command line leaves open; returns the name of the folder."""
    options.task = "dates" if options.dataset in (None, DATES) else "text"
    options.model = options.model or ("rnn" if options.task == "dates" else "transformer")
    name = f"{options.task} {options.model}"
    recipe = RECIPES[options.task] | RECIPES[name] | RECIPES.get(f"{name} to {options.target}", {})
    experiment.fill_in(options, recipe)
    if options.task == "dates":
        return "dates" if options.model == "rnn" else "dates_transformer"
    parts = [options.dataset.strip("/").split("/")[-1], options.source, options.target]
    return "_".join([*filter(None, parts), options.model])


def few_dates(options):
    """Dates made here, because the whole dataset takes long to make."""
    sizes = {"train": options.train_examples, "validation": 96, "test": 96}
    splits = keras_seq.data.date_translation.make_splits(sizes, options.seed)
    columns = ("source", "target")
    return {
        split: tf.data.Dataset.from_tensor_slices({c: [e[c] for e in rows] for c in columns})
        for split, rows in splits.items()
    }


def load_data(options):
    shapes = {} if options.quick else {"length_buckets": (20, 40)}
    if options.task == "text":  # loops of recurrent layers are compiled for each shape: few of them
        shapes = {"share_vocabulary": True, "static_shapes": options.model == "rnn"}
    names = ("source", "target", "data_dir", "tokenizer", "vocabulary_size", "batch_size")
    names += ("max_tokens", "train_examples", "seed")
    return keras_seq.data.translation(
        few_dates(options) if options.dataset is None else options.dataset,
        **{name: getattr(options, name) for name in names},
        **shapes,
    )


def build_model(options, data, sequence_length):
    sizes = [t.vocabulary_size() for t in (data.source_tokenizer, data.target_tokenizer)]
    text = options.task == "text"
    if options.model == "rnn":
        width = 256 if text else options.size // 2
        return keras_seq.models.seq2seq_rnn(*sizes, width, options.size, dropout=options.dropout)
    return keras_seq.models.transformer(
        *sizes,
        sequence_length=sequence_length,
        num_layers=options.layers,
        hidden_dim=options.size,
        intermediate_dim=(2 if text else 4) * options.size,
        dropout=options.dropout,
        tie_embeddings=text,
        share_embeddings=text,
    )


def compile_model(options, model, steps):
    """Adam; its learning rate rises for a twelfth of the steps, then falls to nearly 0."""
    schedule = experiment.cosine_with_warm_up(options.learning_rate, steps, steps // 12, alpha=0.01)
    model.compile(
        keras.optimizers.Adam(schedule, beta_2=0.98, global_clipnorm=1.0),
        keras_seq.training.SmoothedCrossentropy(
            options.label_smoothing, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=["accuracy"] if options.task == "dates" else None,
    )


def trained_translator(options, data):
    """Train, or restore what the same command trained: a `TextGenerator` and the history."""
    longest = max(map(len, data.source_tokenizer(data.texts[options.split][0])))
    source_length = max(data.source_length, -(-longest // 8) * 8)
    with experiment.strategy(options).scope():
        model = build_model(options, data, max(128, source_length, data.target_length))
        compile_model(options, model, len(data.train) * options.epochs)
    history = experiment.train(options, model, data.train, data.validation, average=options.average)
    sampler = BeamSampler(options.beams) if options.beams > 1 else "greedy"
    generator = Generator(model, data.target_length, data.start_id, data.end_id, sampler=sampler)
    tokenizers = data.source_tokenizer, data.target_tokenizer
    limits = {"source_length": source_length, "unknown": "ignore"}
    return TextGenerator(generator, *tokenizers, **limits), history


def evaluate(options, outputs, targets):
    """Exact match of dates; BLEU of text, as written and in lower case, with its signatures."""
    if options.task == "dates":
        equal = np.mean([a == b for a, b in zip(outputs, targets, strict=True)])
        return {"exact match, %": 100 * equal}, {}
    import sacrebleu

    metrics = {"BLEU": sacrebleu.BLEU(), "BLEU, lower case": sacrebleu.BLEU(lowercase=True)}
    figures = {name: m.corpus_score(outputs, [targets]).score for name, m in metrics.items()}
    signatures = {f"signature of {name}": str(m.get_signature()) for name, m in metrics.items()}
    print(*map(": ".join, signatures.items()), sep="\n")
    return figures, signatures


def attention(translator, texts):
    """Of each text `(weights, pieces read, pieces written)`; weights: from layer to (H, T, S)."""
    ids = translator.tokenize(texts)
    out = translator.generator.generate(ids, return_attention=True)
    for i, rows in enumerate(zip(ids, keras.ops.convert_to_numpy(out.tokens), strict=True)):
        read, written = (row[row != 0] for row in rows)
        weights = {n: w[i, :, : len(written), : len(read)] for n, w in out.attention.items()}
        pieces = [translator.source_tokenizer.id_to_token(int(t)) for t in read]
        yield weights, pieces, [translator.target_tokenizer.id_to_token(int(t)) for t in written]


def main(command_line=None):
    options = experiment.parse(
        __doc__, arguments, QUICK, NOT_OF_TRAINING, command_line, name=complete, dataset=DATES
    )
    data = load_data(options)
    print(data)
    translator, history = trained_translator(options, data)
    if options.text:
        for text, output in zip(options.text, translator(options.text), strict=True):
            print(f"  {text}  ->  {output}")
        return
    sources, targets = data.texts[options.split]
    outputs = translator(sources)
    figures, signatures = evaluate(options, outputs, targets)
    experiment.report(options, figures, seconds=history.seconds, **signatures)
    print("\nUnseen texts, translated:")
    for source, output, target in list(zip(sources, outputs, targets, strict=True))[:8]:
        print(f"  {source}  ->  {output}{'' if output == target else f'   (expected {target})'}")
    maps = []
    looks = attention(translator, sources[:4])
    for text, output, (weights, read, written) in zip(sources, outputs, looks, strict=False):
        maps.append((list(weights.values())[-1].mean(axis=0), read, written, f"{text} → {output}"))
    keras_seq.plots.attention_maps(maps, path=options.output / "attention.png")
    translator.save(options.output / "translator.keras_seq")
    name = options.output.resolve()  # NAME.tflite beside NAME/1
    experiment.export(options, translator, inputs=sources[: options.compare], name=name)


if __name__ == "__main__":
    main()

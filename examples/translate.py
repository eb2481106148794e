"""Train a translator, look at what it does, export it, and compare the exports with it.

    python examples/translate.py                       # dates as people write them -> ISO 8601
    python examples/translate.py --model transformer
    python examples/translate.py --quick               # a tiny model of a few hundred dates
    python examples/translate.py --dataset PATH/TO/multi30k --source de --target en
    python examples/translate.py ... --text "Ein Hund rennt."      # with what was trained

The first two need one to two minutes of training on two CPU cores and reach 99 % exact match or
more on 2,000 held-out dates. `--dataset` takes the name of any translation dataset of TensorFlow
Datasets, or a folder of parallel text with files LANGUAGE.SPLIT.txt; its model is a Transformer
unless `--model rnn` is given.
"""

import experiment  # first: it quiets TensorFlow
import keras
import numpy as np

import keras_seq

DATES = "date_translation"
QUICK = {"epochs": 8, "size": 32, "batch_size": 32, "train_examples": 480, "compare": 8}
# What the command line does not say, for dates and for real text. The latter was chosen on the
# validation split of Multi30k, after transformer_tiny of Wu et al. 2021 (joint pieces, smoothed
# labels, batches of a number of tokens, beams, mean of the last epochs) for far fewer epochs.
DATE_RECIPE = {"tokenizer": "character", "vocabulary_size": 4000, "batch_size": 64}
DATE_RECIPE |= {"learning_rate": 3e-3, "label_smoothing": 0.0, "dropout": 0.0, "layers": 1}
DATE_RECIPE |= {"beams": 1, "average": 1}
TEXT_RECIPE = {"tokenizer": "bpe", "vocabulary_size": 5000, "max_tokens": 2048}
TEXT_RECIPE |= {"label_smoothing": 0.1, "layers": 2, "beams": 5, "average": 2}
RECIPES = {
    ("dates", "rnn"): {"epochs": 2, "size": 128, **DATE_RECIPE},
    ("dates", "transformer"): {"epochs": 3, "size": 64, **DATE_RECIPE},
    ("text", "rnn"): {
        **TEXT_RECIPE,
        "epochs": 5,
        "size": 384,
        "dropout": 0.3,
        "learning_rate": 2e-3,
    },
    ("text", "transformer"): {
        **TEXT_RECIPE,
        "epochs": 8,
        "size": 256,
        "dropout": 0.15,
        "learning_rate": 1.5e-3,
    },
}


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
    add("--compare", type=int, default=500, help="held-out inputs to compare the exports on")


def complete(options):
    """Fill in what the command line leaves open; returns the name of the folder."""
    options.dates = options.dataset in (None, DATES)
    options.model = options.model or ("rnn" if options.dates else "transformer")
    for key, value in RECIPES["dates" if options.dates else "text", options.model].items():
        if getattr(options, key, None) is None:
            setattr(options, key, value)
    if options.dates:
        return "dates" if options.model == "rnn" else "dates_transformer"
    columns = [c for c in (options.source, options.target) if c]
    return "_".join([options.dataset.strip("/").split("/")[-1], *columns, options.model])


def few_dates(options):
    """Parallel text made here, because the whole dataset takes long to make."""
    import tensorflow as tf

    sizes = {"train": options.train_examples, "validation": 96, "test": 96}
    splits = keras_seq.data.date_translation.make_splits(sizes, options.seed)
    columns = ("source", "target")
    return {
        split: tf.data.Dataset.from_tensor_slices({c: [e[c] for e in rows] for c in columns})
        for split, rows in splits.items()
    }


def load_data(options):
    # The loops of recurrent layers are compiled for each shape: few of them.
    few_shapes = options.model == "rnn"
    buckets = {"length_buckets": (20, 40)} if options.dates else {"static_shapes": few_shapes}
    return keras_seq.data.translation(
        few_dates(options) if options.dataset is None else options.dataset,
        source=options.source,
        target=options.target,
        data_dir=options.data_dir,
        tokenizer=options.tokenizer,
        vocabulary_size=options.vocabulary_size,
        share_vocabulary=not options.dates,
        batch_size=options.batch_size,
        max_tokens=options.max_tokens,
        train_examples=options.train_examples,
        seed=options.seed,
        **buckets,
    )


def build_model(options, data, length):
    sizes = [t.vocabulary_size() for t in (data.source_tokenizer, data.target_tokenizer)]
    if options.model == "rnn":
        width = options.size // 2 if options.dates else 256
        return keras_seq.models.seq2seq_rnn(*sizes, width, options.size, dropout=options.dropout)
    return keras_seq.models.transformer(
        *sizes,
        sequence_length=length,
        num_layers=options.layers,
        hidden_dim=options.size,
        intermediate_dim=(4 if options.dates else 2) * options.size,
        dropout=options.dropout,
        tie_embeddings=not options.dates,
        share_embeddings=not options.dates,
    )


def compile_model(options, model, steps):
    """Adam, with a learning rate that rises for a twelfth of the steps and falls to nearly 0."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=steps - steps // 12,
        alpha=0.01,
        warmup_target=options.learning_rate,
        warmup_steps=steps // 12,
    )
    model.compile(
        keras.optimizers.Adam(schedule, beta_2=0.98, global_clipnorm=1.0),
        keras_seq.training.SmoothedCrossentropy(
            options.label_smoothing, reduction="mean_with_sample_weight"
        ),
        weighted_metrics=["accuracy"] if options.dates else None,
    )


def evaluate(options, outputs, targets):
    """Exact match of dates; of text BLEU, as written and in lower case, with its signatures."""
    if options.dates:
        equal = np.mean([a == b for a, b in zip(outputs, targets, strict=True)])
        return {"exact match, %": 100 * equal}, {}
    import sacrebleu

    figures, signatures = {}, {}
    for name, lowercase in (("BLEU", False), ("BLEU, lower case", True)):
        metric = sacrebleu.BLEU(lowercase=lowercase)
        figures[name] = metric.corpus_score(outputs, [targets]).score
        signatures[name] = str(metric.get_signature())
        print(f"{name}: {figures[name]:.2f}  {signatures[name]}")
    return figures, signatures


def draw_attention(options, translator, sources):
    """Save where the last attention looked in the source for each token that it wrote."""
    examples = []
    for text in sources:
        ids = translator.tokenize([text])
        tokens, *_, attention = translator.generator.generate(ids, return_attention=True)
        read, written = (list(map(int, row[row != 0])) for row in (ids[0], np.array(tokens)[0]))
        weights = list(attention.values())[-1][0].mean(axis=0)[: len(written), : len(read)]
        names = [
            [tokenizer.id_to_token(t) for t in row]
            for tokenizer, row in (
                (translator.source_tokenizer, read),
                (translator.target_tokenizer, written),
            )
        ]
        examples.append((weights, *names, text))
    path = options.output / "attention.png"
    keras_seq.plots.attention_maps(examples, path=path)
    print(f"Saved {path}")


def main(command_line=None):
    options = experiment.parse(
        __doc__,
        arguments,
        quick=QUICK,
        without=("text", "beams", "split", "compare"),
        command_line=command_line,
        name=complete,
    )
    data = load_data(options)
    print(data)
    sources, targets = data.texts[options.split]
    longest = max(map(len, data.source_tokenizer([*sources, *(options.text or [])])))
    source_length = max(data.source_length, -(-longest // 8) * 8)
    with experiment.strategy(options).scope():
        model = build_model(options, data, max(128, source_length, data.target_length))
        compile_model(options, model, len(data.train) * options.epochs)
    history = experiment.train(options, model, data.train, data.validation, average=options.average)

    beam = keras_seq.generation.BeamSampler(options.beams, length_penalty=1.0)
    generator = keras_seq.generation.Generator(
        model,
        max_length=data.target_length,
        start_token=data.start_id,
        end_token=data.end_id,
        sampler="greedy" if options.beams == 1 else beam,
    )
    translator = keras_seq.generation.TextGenerator(
        generator,
        data.source_tokenizer,
        data.target_tokenizer,
        source_length=source_length,
        unknown="ignore",
    )
    if options.text:
        for text, output in zip(options.text, translator(options.text), strict=True):
            print(f"  {text}  ->  {output}")
        return
    outputs = translator(sources)
    figures, more = evaluate(options, outputs, targets)
    experiment.report(options, figures, seconds=history.seconds, **more)
    print("\nUnseen texts, translated:")
    for source, output, target in list(zip(sources, outputs, targets, strict=True))[:8]:
        print(f"  {source}  ->  {output}{'' if output == target else f'   (expected {target})'}")
    draw_attention(options, translator, sources[:4])
    experiment.export(options, translator, inputs=sources[: options.compare])


if __name__ == "__main__":
    main()

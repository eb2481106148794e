"""Models of the next character, from independent characters to LSTM and Transformer: who sees what.

    python examples/language_models.py                      # Shakespeare, ten models, a table
    python examples/language_models.py --models markov lstm transformer --prompt "ROMEO:"
    python examples/language_models.py --dataset MY_TEXT.txt
    python examples/language_models.py --quick              # tiny models, on sentences made up here

Each model is a distribution p(x_t | x_1, ..., x_{t-1}); they differ in what of the past they see:
nothing (`naive`), the last character (`markov`, a table of logits, compared with counted pairs),
the last p (`ar2`, `ar4`, ...), a state that sums up all of it (`simple_rnn`, `gru`, `lstm`), or all
of it (`transformer`; `gpt_2` has GPT-2's architecture without biases). The picture shows the loss
of a character after 1, 2, 3-4, ..., 33-64 others: it falls as far as a model looks back. One run of
2,000 batches of 12 x 64 characters, nats a character on the validation split, and on both held-out
splits together, the last tenth, for which nanoGPT publishes 1.88 (its own estimate):

    naive  3.33 3.35    ar2 2.20 2.22    ar8  2.06 2.09    simple_rnn 1.91 1.93    lstm 1.59 1.63
    markov 2.48 2.49    ar4 2.07 2.10    ar16 2.07 2.10    gru 1.55 1.60    transformer 1.61 1.66
"""

import experiment  # first: it quiets TensorFlow's log
import keras
import numpy as np
import tensorflow as tf

import keras_seq

NAMES = ["naive", "markov", "ar2", "ar4", "ar8", "ar16", "simple_rnn", "gru", "lstm", "transformer"]
QUICK = {"steps": 60, "epochs": 1, "length": 16, "hidden_dim": 32, "width": 32, "blocks": 1}
QUICK |= {"models": ["markov", "lstm", "transformer"], "characters": 40}


def arguments(add):
    add("--models", nargs="+", choices=[*NAMES, "gpt_2"], default=NAMES, metavar="MODEL")
    add("--steps", type=int, default=400, help="of an epoch")
    add("--length", type=int, default=64, help="characters of a block")
    add("--hidden-dim", type=int, default=376, help="units of the recurrent models")
    add("--width", type=int, default=128, help="of the Transformers")
    add("--blocks", type=int, default=4, help="of the Transformers")
    add("--prompt", default="\n", help="what the samples begin with")
    add("--characters", type=int, default=200, help="how many to write")


def made_up_text(sentences=500):
    """Lines such as "The cat sees a bird."."""
    rng = np.random.default_rng(0)
    parts = ("The", "A"), ("cat", "dog", "king"), ("sees", "hears"), ("the", "a"), ("bird", "queen")
    lines = zip(*(rng.choice(words, sentences) for words in parts), strict=True)
    return "".join(" ".join(line) + ".\n" for line in lines)


def load_data(options):
    made_up = {"train": tf.data.Dataset.from_tensors({"text": made_up_text()})}
    return keras_seq.data.language_model(
        options.dataset or made_up,
        data_dir=options.data_dir,
        sequence_length=options.length,
        batch_size=options.batch_size,
        seed=options.seed,
    )


def build_model(name, options, vocabulary_size):
    """The model of a name, and the largest learning rate of its training."""
    models, hidden_dim = keras_seq.models, options.hidden_dim
    if name == "markov":
        return models.markov(vocabulary_size, name=name), 0.1
    if name == "naive":
        return models.autoregressive(vocabulary_size, order=0, name=name), 0.1
    if name.startswith("ar"):
        sizes = {"embedding_dim": 32, "hidden_dim": hidden_dim}
        return models.autoregressive(vocabulary_size, int(name[2:]), **sizes, name=name), 4e-3
    if name in ("simple_rnn", "gru", "lstm"):
        sizes = {"embedding_dim": 128, "hidden_dim": hidden_dim}
        model = models.language_model(vocabulary_size, name, **sizes, name=name)
        return model, 1e-3 if name == "simple_rnn" else 4e-3
    block = {"intermediate_dim": 4 * options.width, "activation": "gelu"}
    if name == "transformer":  # as many weights, with the gate
        block = {"intermediate_dim": int(2.6875 * options.width), "activation": "silu"}
        block |= {"gated": True, "normalization": "rms", "positions": "rotary"}
    model = models.decoder_only_transformer(
        vocabulary_size,
        num_layers=options.blocks,
        hidden_dim=options.width,
        sequence_length=options.length,
        sliding_window=options.length,  # when it writes, it looks back as far as in training
        dropout=0.0,
        use_bias=False,
        padding_id=None,
        name=name,
        **block,
    )
    return model, 1e-3 if name == "gpt_2" else 4e-3


def train(name, options, data):
    keras.utils.set_random_seed(options.seed)  # whatever models were made before
    with experiment.strategy(options).scope():
        model, rate = build_model(name, options, data.vocabulary_size)
        steps = options.epochs * options.steps
        schedule = experiment.cosine_with_warm_up(
            options.learning_rate or rate, steps, steps // 20, alpha=0.1 if name == "gpt_2" else 0.0
        )
        decay = 0.1 if name in ("transformer", "gpt_2") else 0.0
        optimizer = keras.optimizers.AdamW(schedule, decay, beta_2=0.99, global_clipnorm=1.0)
        optimizer.exclude_from_weight_decay(var_names=["scale", "gamma"])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, jit_compile=not options.quick)  # XLA takes 10 s to begin
    history = experiment.train(
        options, model, data.train, data.validation, name=name, steps_per_epoch=options.steps
    )
    return model, history.seconds


def counted_markov_model(data):
    """The table of the Markov model as logarithms of counts, of pairs of the training text."""
    (text,) = data.tokenizer(data.texts["train"][:1])
    counts = np.ones((data.vocabulary_size, data.vocabulary_size))  # 1: no pair is impossible
    np.add.at(counts, (text[:-1], text[1:]), 1)
    model = keras_seq.models.markov(data.vocabulary_size)
    model.set_weights([np.log(counts)])
    return model


def losses(model, dataset):
    """(N, T): the loss of each character of N blocks, in nats."""
    tokens, labels = map(np.concatenate, zip(*dataset.as_numpy_iterator(), strict=True))
    logits = model.predict(tokens, batch_size=64, verbose=0)
    loss = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return keras.ops.convert_to_numpy(loss)


def make_generator(model, options, sampler, prompt_length):
    length = options.characters
    if model.name == "gpt_2":  # it has learned so many positions
        length = min(length, options.length - prompt_length)
    return keras_seq.generation.Generator(
        model,
        max_length=length,
        sampler=sampler,
        banned_tokens=range(4),  # special ones, which no text has
        jit_compile=False,
    )


def draw(curves, path):
    """The loss of a character by how many are before it."""
    length = len(next(iter(curves.values())))
    ends = 2 ** np.arange(int(np.log2(length)) + 1)  # after 1, 2, 3-4, 5-8, ... characters
    lines = {
        f"{name}: {np.mean(curve):.2f}": [np.mean(curve[end // 2 : end]) for end in ends]
        for name, curve in curves.items()
    }
    panels = {"validation loss, nats": lines}
    keras_seq.plots.curves(panels, ends, path, x_label="characters before", x_scale="log2")
    print(f"Saved {path}")


def main():
    defaults = {"dataset": "tiny_shakespeare", "epochs": 5, "batch_size": 12}
    alone = ("models", "prompt", "characters")  # each model is trained as without the others
    options = experiment.parse(__doc__, arguments, quick=QUICK, without=alone, **defaults)
    data = load_data(options)
    print(data)
    prompt = [int(i) for i in data.tokenizer([options.prompt])[0]]
    if not prompt or 1 in prompt:  # the unknown character
        raise SystemExit(f"--prompt needs characters of the text. Received: {options.prompt!r}")
    trained, seconds, curves, figures = {}, {}, {}, {}
    for name in options.models:
        trained[name], seconds[name] = train(name, options, data)
        generator = make_generator(trained[name], options, "random", len(prompt))
        tokens = generator.generate(prompt=[prompt], seed=options.seed).tokens
        print(f"{name} writes: {data.tokenizer.detokenize(tokens)[0]!r}\n")

    print(f"{'':<12}{'weights':>9}{'seconds':>9}   validation: nats, bits   test: nats, bits")
    for name, model in {**trained, "counted pairs": counted_markov_model(data)}.items():
        validation, test = (losses(model, dataset) for dataset in (data.validation, data.test))
        curves[name] = validation.mean(0)
        figures |= {f"{name}, validation": validation.mean(), f"{name}, test": test.mean()}
        print(f"{name:<13}{model.count_params():>8,}{seconds.get(name, 0):>9.0f}", end="")
        numbers = [(x.mean(), x.mean() / np.log(2)) for x in (validation, test)]
        print("".join(f"{nats:>15.3f}{bits:>9.3f}" for nats, bits in numbers))
    draw(curves, options.output / "loss_by_past.png")
    experiment.report(options, figures, seconds=seconds)

    best = min(trained, key=lambda name: figures[f"{name}, validation"])
    generator = make_generator(trained[best], options, "greedy", 8)
    prompts = np.concatenate([tokens[:, :8] for tokens, _ in data.validation.take(2)])
    experiment.export(options, generator, prompt_length=8, prompt=prompts)


if __name__ == "__main__":
    main()

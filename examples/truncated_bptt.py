"""Truncated back-propagation through time: how long a chunk, and what carrying the states is worth.

    python examples/truncated_bptt.py                       # Shakespeare, characters
    python examples/truncated_bptt.py --chunks 20 --tokenizer word --tokens 400 --hidden-dim 200
    python examples/truncated_bptt.py --dataset MY_TEXT.txt
    python examples/truncated_bptt.py --quick               # tiny models, on sentences made up here

A recurrent model reads a long text in chunks of T steps. The gradient ends where a chunk begins,

    h_t = g(stop_gradient(h_{t-1}), x_t)    at the first step of a chunk,

and the state goes on (`carried`), or begins at zero as if each chunk were a text of its own
(`reset`). For each T both models start from the same weights and see the same tokens in as many
updates: a batch has `--tokens` / T rows. Each is evaluated on the validation text with its states
carried through 4,096 steps, and with its states reset at every chunk.

One run of one epoch on one busy core, 0.2 million weights, validation loss in nats a character:

              trained with states carried           trained with states reset
       T     carried    reset at every T          carried    reset at every T
       4      1.943          2.529                 2.008          2.157
      16      1.949          2.159                 1.984          2.036
      64      1.958          2.017                 2.000          2.012

So with carried states a chunk of 4 characters does as well as one of 64; without, a model needs
long ones. Time was no matter (25 to 39 s): where fewer steps follow each other, there are more
rows. Carried states need a small learning rate: at 5e-3 the cells of an LSTM may count up
unchecked.
"""

import experiment  # first: it quiets TensorFlow's log
import keras
import numpy as np
import tensorflow as tf

import keras_seq

QUICK = {"chunks": [8], "tokens": 64, "hidden_dim": 16, "write": 12, "learning_rate": 1e-2}


def arguments(add):
    add("--chunks", type=int, nargs="+", default=[4, 8, 16, 32, 64, 128], help="T, time steps")
    add("--tokens", type=int, default=1024, help="of a batch: T times its rows")
    add("--tokenizer", choices=["character", "word", "subword"], default="character")
    add("--vocabulary-size", type=int, default=5000, help="of words and subwords, at most")
    add("--cell", choices=["simple_rnn", "gru", "lstm"], default="lstm")
    add("--hidden-dim", type=int, default=128)
    add("--layers", type=int, default=1)
    add("--dropout", type=float, default=0.0)
    add("--prompt", default="my lord ,", help="what the sample begins with")
    add("--write", type=int, default=100, help="how many tokens to write")


def made_up_text(sentences=300):
    """Lines such as "my lord , the king sees a bird ."."""
    rng = np.random.default_rng(0)
    parts = ("my lord ,", "my lady ,"), ("the", "a"), ("cat", "king"), ("sees", "hears")
    lines = zip(*(rng.choice(words, sentences) for words in parts), strict=True)
    return "".join(" ".join(line) + " a bird .\n" for line in lines)


def load_data(options, steps):
    made_up = {"train": tf.data.Dataset.from_tensors({"text": made_up_text()})}
    return keras_seq.data.language_model(
        options.dataset or made_up,
        data_dir=options.data_dir,
        tokenizer=options.tokenizer,
        vocabulary_size=options.vocabulary_size,
        lowercase=True,
        layout="carried",
        sequence_length=steps,
        batch_size=max(1, options.tokens // steps),
        seed=options.seed,
    )


def reset_at_every_chunk(inputs, labels):
    first = tf.range(inputs["reset"].shape[1]) == 0
    return {**inputs, "reset": inputs["reset"] | first}, labels


def train(options, data, steps, states):
    """A model trained on chunks of so many steps, and the seconds that took."""
    keras.utils.set_random_seed(options.seed)  # all models start from the same weights
    train, validation = data.train, data.validation
    if states == "reset":
        train, validation = (d.map(reset_at_every_chunk) for d in (train, validation))
    with experiment.strategy(options).scope():
        model = keras_seq.models.language_model(
            data.vocabulary_size,
            options.cell,
            hidden_dim=options.hidden_dim,
            num_layers=options.layers,
            dropout=options.dropout,
        )
        trainer = keras_seq.training.TruncatedBPTT(
            model, steps, batch_size=max(1, options.tokens // steps), carry_evaluation=True
        )
        updates = len(data.train) * options.epochs
        schedule = keras.optimizers.schedules.CosineDecay(options.learning_rate, updates, 0.05)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        trainer.compile(keras.optimizers.Adam(schedule, global_clipnorm=5.0), loss)
        model.compile(loss=loss)
    name = f"{states}_{steps}"
    return model, experiment.train(options, trainer, train, validation, name=name).seconds


def validation_loss(model, tokens, steps):
    """Nats a token, with the states at zero before every `steps` tokens."""
    steps = min(steps, len(tokens) - 1)
    rows = (len(tokens) - 1) // steps
    x, y = (tokens[i : i + rows * steps].reshape(rows, steps) for i in (0, 1))
    return model.evaluate(x, y, batch_size=max(1, 16_384 // steps), verbose=0)


def write(options, model, data):
    (prompt,) = data.tokenizer([options.prompt])
    generator = keras_seq.generation.Generator(
        model,
        max_length=options.write,
        sampler="random",
        banned_tokens=range(4),  # special ones, the unknown word among them
        jit_compile=False,
    )
    tokens = generator.generate(prompt=[[int(i) for i in prompt]], seed=options.seed).tokens
    return data.tokenizer.detokenize(tokens)[0]


def draw(rows, path):
    """Loss and time by the length of the chunks."""
    panels = {"validation loss, nats": {}, "training, s": {}}
    for states in ("carried", "reset"):
        steps, carried, _, seconds = zip(
            *(row[1:] for row in rows if row[0] == states), strict=True
        )
        for lines, line in zip(panels.values(), (carried, seconds), strict=True):
            lines[f"states {states} in training"] = line
    keras_seq.plots.curves(panels, steps, path, x_label="T, steps of a chunk", x_scale="log2")
    print(f"Saved {path}")


def main():
    defaults = {"dataset": "tiny_shakespeare", "epochs": 1, "learning_rate": 2e-3}
    alone = ("chunks", "prompt", "write", "batch_size")  # each model is trained as without others
    options = experiment.parse(__doc__, arguments, quick=QUICK, without=alone, **defaults)
    rows, seconds = [], {}
    for steps in options.chunks:
        data = load_data(options, steps)
        (tokens,) = data.tokenizer(data.texts["validation"][:1])
        tokens = np.array(tokens, "int32")
        for states in ("carried", "reset"):
            print(f"\nT = {steps}, states {states}")
            model, seconds[f"{states}, T = {steps}"] = train(options, data, steps, states)
            losses = [validation_loss(model, tokens, length) for length in (4096, steps)]
            rows.append((states, steps, *losses, seconds[f"{states}, T = {steps}"]))
            if states == "carried":
                writer = model
    print(
        f"\n{data}\n\nWritten by the model of the longest chunks:\n{write(options, writer, data)}"
    )

    print("\nValidation loss, nats a token (bits):   states carried   reset every T   training")
    for states, steps, *losses, time in rows:
        print(f"  trained with states {states:<8} T = {steps:<6}", end="")
        print("".join(f"{x:>8.3f} ({x / np.log(2):.3f})" for x in losses) + f"{time:>9.0f} s")
    draw(rows, options.output / "loss_by_chunk.png")
    figures = {f"{states}, T = {steps}": carried for states, steps, carried, *_ in rows}
    experiment.report(options, figures, seconds=seconds)
    generator = keras_seq.generation.Generator(writer, options.write, banned_tokens=range(4))
    experiment.export(options, generator, prompt_length=4, prompt=tokens[:64].reshape(16, 4))


if __name__ == "__main__":
    main()

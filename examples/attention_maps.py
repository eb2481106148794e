"""The Transformer's figures, of a model trained here: who looks at whom, where, and why so.

    python examples/attention_maps.py --dataset PATH/TO/multi30k --source en --target de
    python examples/attention_maps.py                  # on a Transformer that translates dates
    python examples/attention_maps.py --quick

It takes the options of translate.py, and the model that the same options trained there, or trains
it. Pictures: the heads of each encoder layer on one sentence; what the word "it" looks at in each
of them ("The animal didn't cross the street because it was too tired"); encoder-decoder maps;
positions in both layouts; masks; why scores are divided by sqrt(d); all on one sheet.

Vaswani et al. 2017 show a head of layer 5 of 6 that ties a pronoun to its noun (figures 4 and 5),
after 4.5 million sentence pairs. A small model of 29,000 captions has little use for that; what it
does with "it" is printed, and need not be an answer.
"""

import experiment  # first: it quiets TensorFlow
import keras
import numpy as np
import translate

import keras_seq
from keras_seq import plots

SENTENCE = "The animal didn't cross the street because it was too tired."
NOUNS = ("animal", "street")


def arguments(add):
    translate.arguments(add)
    add("--sentence", help=f'to look at; of English text "{SENTENCE}"')
    add("--word", default="it", help="whose looks are shown apart")


def complete(options):
    """A Transformer, and the folder of the translator."""
    options.model = "transformer"
    return translate.complete(options)


def encoder_heads(translator, sentence):
    """`(weights, pieces)`: a dict from encoder layer to (H, S, S)."""
    ids = translator.tokenize([sentence])
    start = np.full((1, 1), translator.generator.start_token)
    inputs = {translator.source_input: ids, translator.generator.stepper.target: start}
    weights = keras_seq.inspection.attention_scores(translator.generator.model, inputs)
    count = int((ids[0] != 0).sum())
    pieces = [translator.source_tokenizer.id_to_token(int(t)) for t in ids[0, :count]]
    encoder = {name: w for name, w in weights.items() if name.startswith("encoder")}
    return {name: w[0, :, :count, :count] for name, w in encoder.items()}, pieces


def look_of_word(weights, pieces, word):
    """What `word` looks at, or `None` where it does not occur.

    Args:
        weights: dict from layer to (H, S, S).
        pieces: S strings; one that begins with "▁" begins a word.

    Returns:
        `(rows, names, figures)`: (N, S) weights, one row for each layer and head; their names; how
        much of them lies on each noun.
    """
    number = np.maximum(np.cumsum([piece.startswith("▁") for piece in pieces]) - 1, 0)
    words = ["".join(np.array(pieces)[number == n]).strip("▁") for n in range(number[-1] + 1)]
    if word not in words:
        return None
    asking = number == words.index(word)
    rows = np.concatenate([w[:, asking].mean(axis=1) for w in weights.values()])
    names = [f"{name}, head {h + 1}" for name, w in weights.items() for h in range(len(w))]
    figures = {}
    for noun in set(NOUNS) & set(words):
        on_noun = rows[:, number == words.index(noun)].sum(axis=1)
        figures[f"{word} -> {noun}, mean of all heads"] = on_noun.mean()
        best = int(on_noun.argmax())
        figures[f"{word} -> {noun}, largest ({names[best]})"] = on_noun[best]
    return rows, names, figures


def softmax_saturation(keys=32, draws=200, seed=0):
    """What softmax(q k) and softmax(q k / sqrt(d)) do with d features of variance 1.

    q k is a sum of d products, so its standard deviation is sqrt(d). Large scores leave one weight
    of nearly 1, where the softmax is flat: its Jacobian, diag(a) - a a^T, goes to 0 and with it
    the gradient of queries and keys (Vaswani et al. 2017, section 3.2.1).
    """
    rng = np.random.default_rng(seed)
    dims = 2 ** np.arange(11)
    panels = {name: {} for name in ("standard deviation of scores", "largest of 32 weights")}
    panels["norm of the softmax's Jacobian"] = {}
    for name, power in (("q k", 0.0), ("q k / sqrt(d)", -0.5)):
        lines = []
        for d in dims:
            q, k = rng.normal(size=(draws, 1, d)), rng.normal(size=(draws, keys, d))
            scores = (q * k).sum(axis=-1) * d**power  # (draws, keys)
            a = keras.ops.convert_to_numpy(keras.ops.softmax(scores))
            jacobian = a[:, :, None] * np.eye(keys) - a[:, :, None] * a[:, None, :]
            norm = np.linalg.norm(jacobian, axis=(1, 2))
            lines.append([scores.std(), a.max(axis=1).mean(), norm.mean()])
        for panel, line in zip(panels.values(), np.transpose(lines), strict=True):
            panel[name] = line
    return panels, dims


def masks(pieces, padding=3):
    """Of a sentence of a batch whose longest has `padding` pieces more."""
    labels = [*pieces, *["<pad>"] * padding]
    time = len(labels)
    padded = np.broadcast_to(np.arange(time) < len(pieces), (time, time))
    causal = np.tril(np.ones((time, time), bool))
    return {"padding": padded, "causal": causal, "both": padded & causal}, labels


def main(command_line=None):
    options = experiment.parse(
        __doc__,
        arguments,
        translate.QUICK | {"epochs": 1},  # to be drawn it need not be good
        (*translate.NOT_OF_TRAINING, "sentence", "word"),
        command_line,
        name=complete,
        dataset=translate.DATES,
    )
    data = translate.load_data(options)
    translator, _ = translate.trained_translator(options, data)
    english = options.task == "text" and data.columns[0] == "en"
    sentence = options.sentence or (SENTENCE if english else data.texts["test"][0][0])
    folder = options.output = options.output / "attention_maps"
    paths = {}

    def path(name):
        paths[name] = folder / f"{len(paths) + 1}_{name.replace(' ', '_')}.png"
        return paths[name]

    weights, pieces = encoder_heads(translator, sentence)
    maps = [(w, pieces, pieces, name) for name, w in weights.items()]
    plots.attention_maps(maps, path=path("encoder heads"))
    looks = look_of_word(weights, pieces, options.word)
    figures = {}
    if looks is not None:
        rows, names, figures = looks
        plots.attention_map(rows, pieces, names, f'What "{options.word}" looks at', path("it"))
    ((cross, read, written),) = translate.attention(translator, [sentence])
    print(f"{sentence}  ->  {translator(sentence)}")
    maps = [(w, read, written, name) for name, w in cross.items()]
    plots.attention_maps(maps, path=path("encoder-decoder"))
    for layout in ("halves", "interleaved"):
        table = keras_seq.layers.sinusoidal_positions(100, 64, layout)
        plots.positional_encoding(table, path(f"positions {layout}"), f"Positions, {layout}")
        few = keras_seq.layers.sinusoidal_positions(40, 6, layout)
        plots.positional_encoding(few, path(f"waves {layout}"), f"Few features, {layout}")
    masked, labels = masks(pieces[:8])
    plots.attention_masks(masked, labels, path("masks"), "What may be looked at")
    panels, dims = softmax_saturation()
    title = "Without 1 / sqrt(d) the softmax saturates"
    plots.curves(panels, dims, path("scale"), "d, features of a head", "log2", title)
    plots.contact_sheet(paths, folder / "sheet.png", title=sentence)
    print(f"Saved {len(paths)} pictures and {folder / 'sheet.png'}")
    figures |= {
        f"largest weight, d = 1024, {name}": line[-1]
        for name, line in panels["largest of 32 weights"].items()
    }
    experiment.report(options, figures)


if __name__ == "__main__":
    main()

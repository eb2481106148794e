"""What a model adds to its tokens' vectors to tell their positions."""

import numpy as np

from keras_seq.plots._figure import COLORS, check_path, new_figure, save

_MOST_CURVES = 8  # features that are drawn as curves; more are drawn as a heatmap


def positional_encoding(positions, path=None, title=None):
    """Draws the vectors of positions: curves of up to 8 features, a heatmap of more.

    Curves of sinusoidal positions are named by their formula. The heatmap has a row for each
    position and a column for each feature, blue where negative, red where positive.

    Args:
        positions: (T, D) numbers, such as `keras_seq.layers.sinusoidal_positions(T, D, layout)`
            gives, or a `keras_seq.layers.PositionalEmbedding` that has been built.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.
        title: Optional, above the axes.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If `positions` is not (T, D), a layer has none or has not been built, or `path`
            has an unknown suffix.
        OSError: If `path` cannot be written.

    Example:

    ```python
    from keras_seq.layers import sinusoidal_positions
    from keras_seq.plots import positional_encoding

    curves = positional_encoding(sinusoidal_positions(100, 4, "interleaved"))
    heatmap = positional_encoding(sinusoidal_positions(100, 512))
    print(curves.axes[0].get_xlabel(), "|", heatmap.axes[0].get_xlabel())  # position t | feature
    ```
    """
    path = check_path(path)
    table = _table(positions)
    figure = new_figure(figsize=(8.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    if table.shape[1] <= _MOST_CURVES:
        _draw_curves(figure, axes, table)
    else:
        _draw_heatmap(figure, axes, table)
    if title:
        axes.set_title(str(title), size=12, loc="left", parse_math=False)
    save(figure, path)
    return figure


def _table(positions):
    """(T, D) float32."""
    from keras_seq.layers import PositionalEmbedding

    if isinstance(positions, PositionalEmbedding):
        layer = f"`positions` is the PositionalEmbedding `{positions.name}`"
        if positions.kind == "none":
            raise ValueError(f"{layer} of kind 'none', which adds nothing. Give another `kind`.")
        if not positions.built:
            raise ValueError(f"{layer}, which has no weights yet. Call it on token ids first.")
        positions = positions.positions
    if not isinstance(positions, (np.ndarray, list, tuple)):
        from keras import ops

        positions = ops.convert_to_numpy(positions)
    table = np.asarray(positions, dtype="float32")
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(
            "`positions` must be (T, D) numbers, a vector for each position, or a "
            f"PositionalEmbedding. Received: shape {table.shape}"
        )
    return table


def _draw_curves(figure, axes, table):
    for i, (label, color) in enumerate(zip(_labels(table), COLORS, strict=False)):
        axes.plot(table[:, i], color=color, linewidth=1.8, label=label)
        if len(table) == 1:
            axes.lines[-1].set_marker("o")
    _label_positions(axes.xaxis)
    axes.set_ylabel("value")
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)


def _labels(table):
    """The features' names; with their formulas where the table is the sinusoidal one."""
    from keras_seq.layers import sinusoidal_positions

    time, dim = table.shape
    names = [f"feature {i}" for i in range(dim)]
    for layout in ("halves", "interleaved") if dim % 2 == 0 else ():
        if not np.allclose(table, sinusoidal_positions(time, dim, layout), atol=1e-6):
            continue
        for i in range(dim):
            wave, pair = divmod(i, dim // 2) if layout == "halves" else (i % 2, i // 2)
            divisor = 10000 ** (2 * pair / dim)
            angle = "t" if pair == 0 else f"t / {divisor:.4g}"
            names[i] += f": {('sin', 'cos')[wave]}({angle})"
        break
    return names


def _draw_heatmap(figure, axes, table):
    from matplotlib.ticker import MaxNLocator

    finite = np.abs(table[np.isfinite(table)])
    largest = float(finite.max(initial=0.0)) or 1.0
    image = axes.imshow(
        table, aspect="auto", interpolation="nearest", cmap="RdBu_r", vmin=-largest, vmax=largest
    )
    _label_positions(axes.yaxis)
    axes.set_xlabel("feature")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=8))
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02).outline.set_visible(False)


def _label_positions(axis):
    from matplotlib.ticker import MaxNLocator

    axis.set_label_text("position t")
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=8))

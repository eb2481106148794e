"""Several pictures as one, each with its name."""

import pathlib

from keras_seq.plots._figure import check_path, new_figure, save

_WIDTH = 5.0  # inches of a picture
_NAME = 0.35  # of the line above it


def contact_sheet(pictures, path=None, columns=3, title=None):
    """Puts saved pictures side by side, each under its name, to be looked at together.

    Args:
        pictures: List of .png files, or a dict from name to file; of a list, the names are those of
            the files.
        path: Optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.
        columns: Pictures a row.
        title: Optional, above all.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If there is no picture, `columns` is below 1, or `path` has an unknown suffix.
        OSError: If a picture cannot be read or `path` not be written.

    Example:

    ```python
    import pathlib
    import tempfile
    from keras_seq.plots import contact_sheet, learning_curves

    folder = pathlib.Path(tempfile.mkdtemp())
    learning_curves({"loss": [2.1, 1.2]}, path=folder / "loss.png")
    figure = contact_sheet([folder / "loss.png"] * 2, path=folder / "all.png")
    print(len(figure.axes))  # 2
    ```
    """
    from matplotlib.image import imread

    path = check_path(path)
    if not isinstance(pictures, dict):
        pictures = [pathlib.Path(picture) for picture in pictures]
        pictures = [(picture.stem.replace("_", " "), picture) for picture in pictures]
    else:
        pictures = list(pictures.items())
    if not pictures:
        raise ValueError("`pictures` must hold at least one file. Received: none")
    if not isinstance(columns, int) or columns < 1:
        raise ValueError(f"`columns` must be an int of 1 or more. Received: {columns!r}")
    images = [(str(name), imread(picture)) for name, picture in pictures]
    columns = min(columns, len(images))
    shapes = [image.shape[0] / image.shape[1] for _, image in images]
    starts = range(0, len(images), columns)
    heights = [_WIDTH * max(shapes[start : start + columns]) + _NAME for start in starts]
    size = (columns * _WIDTH, sum(heights) + _NAME * bool(title))
    figure = new_figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    for i, (name, image) in enumerate(images):
        axes = figure.add_subplot(grid[divmod(i, columns)])
        axes.imshow(image)
        axes.set_anchor("NW")
        axes.set_title(name, size=11, loc="left", parse_math=False)
        axes.set_axis_off()
    if title:
        figure.suptitle(str(title), size=14, parse_math=False)
    save(figure, path)
    return figure

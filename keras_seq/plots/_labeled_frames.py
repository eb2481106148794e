"""Clips as strips of frames, each with its label."""

import numpy as np

from keras_seq.plots._figure import check_path, new_figure, save
from keras_seq.plots._images import check_images, show_image

_SIDE = 0.62  # inches of a frame
_RIGHT, _WRONG = "0.25", "#c0392b"


def labeled_frames(clips, labels, expected=None, path=None):
    """Draws clips, one a row, and above each frame the label that it was given.

    Labels that are not the expected ones are red, with the expected one behind a slash.

    Args:
        clips: list of (T, H, W, C) or (T, H, W), floats in 0 to 1 or integers up to 255; C is 1 or
            3. T may differ.
        labels: list of T labels for each clip.
        expected: list of T labels for each clip, or `None`.
        path: optional file to save to; its suffix (.png, .svg or .pdf) chooses the format.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if the clips are no images, clips and labels do not fit each other, or `path`
            has an unknown suffix.
        OSError: if `path` cannot be written.

    Example:

    ```python
    import numpy as np
    from keras_seq.plots import labeled_frames

    clips = np.random.default_rng(0).uniform(size=(2, 4, 8, 8, 1))
    labels = [["3", "3", "nothing", "5"], ["1", "1", "1", "7"]]
    figure = labeled_frames(clips, labels)
    print(len(figure.axes))  # 8 frames
    ```
    """
    path = check_path(path)
    clips = [check_images(clip) for clip in clips]
    expected = labels if expected is None else expected
    lengths = [len(clip) for clip in clips]
    for name, given in (("labels", labels), ("expected", expected)):
        counts = [len(of_clip) for of_clip in given]
        if counts != lengths or not lengths:
            raise ValueError(
                f"`{name}` of labeled_frames must hold a label for each frame of at least one "
                f"clip. Received: clips of {lengths} frames and {counts} labels"
            )
    columns = max(lengths)
    size = (_SIDE * columns, (_SIDE + 0.22) * len(clips))
    figure = new_figure(figsize=size, layout="constrained")
    for i, (clip, given, true) in enumerate(zip(clips, labels, expected, strict=True)):
        for t, (frame, label, wanted) in enumerate(zip(clip, given, true, strict=True)):
            axes = show_image(figure.add_subplot(len(clips), columns, i * columns + t + 1), frame)
            is_right = np.all(label == wanted)
            text = str(label) if is_right else f"{label} / {wanted}"
            axes.set_title(
                text, size=6, pad=2, color=_RIGHT if is_right else _WRONG, parse_math=False
            )
    save(figure, path)
    return figure

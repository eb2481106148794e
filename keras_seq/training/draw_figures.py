"""`DrawFigures`: pictures of the model after each epoch, in TensorBoard."""

import keras

from keras_seq.training._event_log import EventLog


class DrawFigures(keras.callbacks.Callback):
    """Draws figures at the end of each epoch and writes them to TensorBoard.

    For example what the model attends to: how an alignment forms can be followed epoch by epoch.

    Args:
        draw: function without arguments that gives a `matplotlib.figure.Figure`, as the functions
            of `keras_seq.plots` do, or a dict of them by name.
        log_dir: folder for TensorBoard; the names are tags. Needs TensorFlow, on every backend.
        name: tag of a single figure.

    Raises:
        ImportError: if there is no TensorFlow.
        TypeError: if `draw` is no function, or does not give figures.
        ValueError: if there is no `log_dir`.

    Example:

    ```python
    import tempfile
    import keras
    import numpy as np
    import keras_seq
    from keras_seq.training import DrawFigures, SmoothedCrossentropy

    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    embedding = keras.layers.Embedding(9, 9)
    attention = keras_seq.layers.DotAttention(name="attention")
    logits = attention(embedding(target), embedding(source))
    model = keras.Model([source, target], logits)
    model.compile("adam", SmoothedCrossentropy())
    x = {"source": np.array([[3, 4, 5]]), "target": np.array([[2, 5, 4]])}

    def draw():
        scores = keras_seq.inspection.attention_scores(model, x)["attention"][0]
        return keras_seq.plots.attention_map(scores, ["3", "4", "5"], ["2", "5", "4"])

    figures = DrawFigures(draw, log_dir=tempfile.mkdtemp(), name="attention")
    model.fit(x, np.array([[5, 4, 3]]), epochs=2, callbacks=[figures], verbose=0)
    ```
    """

    without_state = ("draw", "log")  # see `CallbackStates`

    def __init__(self, draw, log_dir, name="figure"):
        super().__init__()
        if not callable(draw):
            raise TypeError(f"`draw` of DrawFigures must be a function. Received: {type(draw)}")
        if log_dir is None:
            raise ValueError("`log_dir` of DrawFigures must be a folder. Received: None")
        self.draw = draw
        self.name = name
        self.log = EventLog("DrawFigures", log_dir)

    def on_epoch_end(self, epoch, logs=None):
        figures = self.draw()
        figures = figures if isinstance(figures, dict) else {self.name: figures}
        for name, figure in figures.items():
            if not hasattr(figure, "savefig"):
                raise TypeError(
                    "`draw` of DrawFigures must give a matplotlib.figure.Figure, or a dict of them "
                    f"by name. Received: {type(figure)}"
                )
            self.log.figure(name, figure, epoch)

    def on_train_end(self, logs=None):
        self.log.close()

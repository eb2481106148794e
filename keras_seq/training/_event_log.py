"""`EventLog`: texts and figures for TensorBoard, written with TensorFlow alone."""

import io
import os


class EventLog:
    """Writes texts and figures into a folder that TensorBoard shows.

    TensorFlow's `tf.summary.text` and `image` need the package `tensorboard`, which it does not
    bring; the records that they write do not.

    Args:
        who: name of the callback, for errors.
        folder: `log_dir` of TensorBoard; `None` writes nothing.

    Raises:
        ImportError: if there is a folder and no TensorFlow, whatever the backend of Keras.
    """

    def __init__(self, who, folder):
        self.folder = None if folder is None else os.fspath(folder)
        self._writer = None
        if folder is None:
            return
        try:
            import tensorflow  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"`log_dir` of {who} needs TensorFlow, which writes TensorBoard's files on every "
                "backend of Keras. Install it (pip install tensorflow), or leave `log_dir` out."
            ) from error

    def text(self, tag, text, step):
        """Write a text, in Markdown."""
        self._write("text", tag, text, step)

    def figure(self, tag, figure, step):
        """Write a `matplotlib.figure.Figure`."""
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100)
        width, height = (str(round(inches * 100)) for inches in figure.get_size_inches())
        self._write("images", tag, [width, height, file.getvalue()], step)

    def _write(self, plugin, tag, value, step):
        if self.folder is None:
            return
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self.folder)
        data = tf.compat.v1.SummaryMetadata.PluginData(plugin_name=plugin)
        metadata = tf.compat.v1.SummaryMetadata(plugin_data=data)
        with self._writer.as_default(), tf.device("CPU"):
            tf.summary.write(tag, tf.constant(value), step, metadata)
        self._writer.flush()

    def close(self):
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def fenced(text):
    """A text as Markdown that shows it as it is, line by line."""
    return "\n".join(f"    {line}" for line in text.split("\n"))

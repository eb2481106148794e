import pytest
import tensorflow as tf

from keras_seq.data._source import open_source


def test_what_is_no_dataset_is_refused(tmp_path):
    rows = tf.data.Dataset.from_tensor_slices({"text": ["a"]})
    with pytest.raises(ValueError, match=r"must have a split 'train'. Received: \['test'\]"):
        open_source({"test": rows})
    with pytest.raises(TypeError, match="must be an unbatched tf.data.Dataset of dicts"):
        open_source(tf.data.Dataset.range(3))
    with pytest.raises(TypeError, match="name of a TFDS dataset or the path of a folder"):
        open_source(3)
    missing = tmp_path / "no" / "such" / "folder"
    with pytest.raises(ValueError, match="does not exist"):
        open_source(str(missing))
    for name in ("date_translation:9.9.9", "date_translation/config"):
        with pytest.raises(ValueError, match="does not exist in this form"):
            open_source(name)

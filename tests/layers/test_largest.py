import numpy as np
from keras import ops

from keras_seq.layers._largest import largest


def test_of_equals_the_first_is_the_largest():
    x = np.array([[[1.0, 3, 3], [-2, -1, -1]], [[-np.inf, -np.inf, -np.inf], [0, -0.0, 0]]])
    ids, values = map(ops.convert_to_numpy, largest(x.astype("float32")))
    np.testing.assert_array_equal(ids, [[1, 1], [0, 0]])
    np.testing.assert_array_equal(values, [[3, -1], [-np.inf, 0]])
    assert ids.dtype == "int32"

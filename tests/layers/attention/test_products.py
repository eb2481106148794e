import os
import subprocess
import sys

import numpy as np
import pytest
from keras import ops

from keras_seq.layers.attention._products import batch_product

PROGRAM = """
import numpy as np
import keras_seq as ks

x = np.random.default_rng(0).normal(size=(4, 5, 2)).astype("float32")
memory = np.random.default_rng(1).normal(size=(1, 3, 2)).astype("float32")
for layer in (ks.layers.MultiHeadCrossAttention(1, 2), ks.layers.DotAttention()):
    whole = layer(x, memory)
    np.testing.assert_allclose(whole, layer(x, np.repeat(memory, 4, axis=0)), atol=1e-5)
"""


@pytest.mark.parametrize("shapes", [
    ((4, 5, 3), (4, 3, 2)), ((4, 5, 3), (1, 3, 2)), ((1, 5, 3), (1, 3, 2)),
    ((4, 2, 5, 3), (4, 2, 3, 6)), ((4, 2, 5, 3), (1, 2, 3, 6)), ((4, 1, 1, 3), (1, 1, 3, 6)),
])  # fmt: skip
def test_one_row_of_a_context_is_multiplied_with_every_row(shapes):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=shape).astype("float32") for shape in shapes)
    product = ops.convert_to_numpy(batch_product(*map(ops.convert_to_tensor, (a, b))))
    np.testing.assert_allclose(product, a @ b, atol=1e-5)


@pytest.mark.needs_tensorflow(reason="it is about the kernels that TensorFlow takes by default")
def test_one_row_of_a_context_is_right_with_the_kernels_of_a_users_process():
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]

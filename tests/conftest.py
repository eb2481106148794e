"""What all tests share: quiet backends, fixed seeds, and runs without TensorFlow."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # one order of summation on every machine

import pytest

_NEED_TENSORFLOW = ("data", "export", "examples")  # folders of tests/


class _NoTensorFlow:
    """A finder that comes first and knows TensorFlow as missing."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tensorflow_datasets", "tf_keras"):
            raise ModuleNotFoundError(f"No module named {name!r} (--without-tensorflow)", name=name)
        return None


def pytest_addoption(parser):
    parser.addoption(
        "--without-tensorflow",
        action="store_true",
        help="make TensorFlow un-importable; for runs with KERAS_BACKEND=jax",
    )
    parser.addoption(
        "--all-random-models",
        action="store_true",
        help="generate with 200 random models instead of 20",
    )
    parser.addoption("--thorough", action="store_true", help="run further cases of costly tests")


def pytest_configure(config):
    config.addinivalue_line("markers", "thorough: a further case, run with --thorough only")
    config.addinivalue_line(
        "markers", "needs_tensorflow: the test needs the TensorFlow backend; say why in `reason`"
    )
    if not config.getoption("--without-tensorflow"):
        return
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        raise pytest.UsageError("--without-tensorflow needs another backend: KERAS_BACKEND=jax")
    if "tensorflow" in sys.modules:
        raise pytest.UsageError("--without-tensorflow: a plugin has imported TensorFlow already")
    sys.meta_path.insert(0, _NoTensorFlow())


def pytest_ignore_collect(collection_path, config):
    if not config.getoption("--without-tensorflow"):
        return None
    here = config.rootpath / "tests"
    return any(collection_path == here / name for name in _NEED_TENSORFLOW) or None


def _thin_out(config, items):
    """Keep one case of each layer's laws: the second run is the shorter one.

    Eager JAX compiles each operation anew for each shape, so a case that takes TensorFlow a second
    takes JAX ten.
    """
    kept, dropped, seen = [], [], set()
    for item in items:
        name = getattr(item, "originalname", item.name)
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        key = (item.path, name)
        repeated = name.endswith("the_laws") and key in seen
        if item.path.name == "test_recurrent.py" and name.endswith("the_laws"):
            repeated = item.callspec.id not in ("LSTM", "GRU")
        if item.path.name == "test_recurrence.py":  # JAX compiles the loop in either case
            repeated = parameters.get("jit_compile", True) is False
        if item.path.name == "test_recurrent_options.py":
            repeated = repeated or parameters.get("name", "LSTM") not in ("LSTM", "GRU")
        seen.add(key)
        (dropped if repeated else kept).append(item)
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept


def pytest_collection_modifyitems(config, items):
    import keras

    if not config.getoption("--thorough"):
        further = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=further)
        items[:] = [item for item in items if item not in further]
    if config.getoption("--without-tensorflow") and not config.getoption("--thorough"):
        _thin_out(config, items)

    backend = keras.backend.backend()
    for item in items:
        marker = item.get_closest_marker("needs_tensorflow")
        if marker and backend != "tensorflow":
            reason = marker.kwargs.get("reason") or (marker.args[0] if marker.args else "")
            item.add_marker(pytest.mark.skip(reason=f"needs TensorFlow: {reason}"))


@pytest.fixture(autouse=True)
def _seeded():
    import keras

    keras.utils.set_random_seed(0)
    keras.backend.clear_session()

"""What all tests share: quiet backends, fixed seeds, and runs without TensorFlow."""

import os
import shutil
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # one order of summation on every machine
# Most of a run is XLA compiling functions that are called once: quickly made ones will do.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# Eager JAX compiles each operation for each shape. The processes of a run share what they made.
_OWN_CACHE = None
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _OWN_CACHE = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="jax-cache-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import pytest  # noqa: E402

_NEED_TENSORFLOW = ("data", "export", "examples")  # folders of tests/


def pytest_addoption(parser):
    parser.addoption(
        "--without-tensorflow",
        action="store_true",
        help="make TensorFlow un-importable; for runs with KERAS_BACKEND=jax or torch",
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
        raise pytest.UsageError(
            "--without-tensorflow needs another backend: KERAS_BACKEND=jax or torch"
        )
    if "tensorflow" in sys.modules:
        raise pytest.UsageError("--without-tensorflow: a plugin has imported TensorFlow already")
    # An import of it raises ModuleNotFoundError, and `importlib.util.find_spec` gives None.
    sys.modules.update(dict.fromkeys(("tensorflow", "tensorflow_datasets", "tf_keras")))


def pytest_unconfigure():
    if _OWN_CACHE is not None:  # in the process that starts the others
        shutil.rmtree(_OWN_CACHE, ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def keras_home(tmp_path_factory):
    """Trained tokenizers are kept here, not in the home of who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras_home")))
        yield


@pytest.fixture(autouse=True, scope="session")
def scripts_are_forked(request, tmp_path_factory):
    """What exports start need not import TensorFlow each time; examples start it as users do."""
    if request.config.getoption("--without-tensorflow"):
        yield
        return
    from keras_seq.export import _process
    from tests.export.forked_scripts import ForkingServer

    server = ForkingServer(tmp_path_factory.mktemp("scripts"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_process, "subprocess", server)
        yield
    server.close()


def pytest_ignore_collect(collection_path, config):
    if not config.getoption("--without-tensorflow"):
        return None
    here = config.rootpath / "tests"
    return any(collection_path == here / name for name in _NEED_TENSORFLOW) or None


# Where eager JAX compiles for half a minute and more what TensorFlow has shown in seconds.
_COSTLY_ON_JAX = {
    "test_a_language_model_has_the_parameters_of_its_architecture_and_steps",
    "test_a_processor_from_outside_acts_as_the_same_rule_in_numpy",
    "test_a_scheme_goes_with_a_sliding_window",
    "test_a_users_cell_keeps_the_invariants_of_a_sequence_layer",
    "test_a_variant_keeps_the_contract",
    "test_a_window_keeps_the_contract",
    "test_additive_attention_keeps_the_contract",
    "test_allowed_pairs_are_those_of_the_table",
    "test_an_encoder_decoder_has_the_parameters_of_its_architecture_and_steps",
    "test_another_max_length_of_a_call_shares_a_compiled_function",
    "test_attention_with_a_scheme_keeps_the_contract",
    "test_bidirectional_layers_keep_the_invariants",
    "test_blocks_and_models_use_a_variant_and_save_it",
    "test_cross_attention_keeps_the_contract",
    "test_diverse_beam_search_equals_the_same_in_plain_python",
    "test_diversity_makes_the_groups_differ",
    "test_documents_that_share_a_row_give_what_each_gives_alone",
    "test_dot_attention_keeps_the_contract",
    "test_each_option_keeps_the_contract",
    "test_grouped_cross_attention_keeps_the_contract",
    "test_grouped_self_attention_keeps_the_contract",
    "test_inputs_may_be_lists_and_must_fit_the_models_shapes",
    "test_lists_of_source_ids_share_a_compiled_function_where_their_padding_is_masked",
    "test_mixed_precision_models_step_with_states_of_fixed_dtype",
    "test_models_take_a_scheme_step_with_it_and_save_it",
    "test_one_beam_is_greedy_on_random_models_and_prompts",
    "test_self_attention_gives_the_numbers_of_keras",
    "test_some_random_graphs_are_refused_and_some_are_not",
    "test_stacked_samplers_draw_from_the_nucleus_of_the_likeliest",
    "test_the_decoder_block_keeps_the_contract",
    "test_the_decoder_block_keeps_the_invariants_of_time_without_a_source",
    "test_the_encoder_block_keeps_the_contract",
    "test_the_masks_of_concatenated_embeddings_are_followed",
    "test_the_self_check_finds_nothing_wrong_with_good_models",
}


def _thin_out(config, items):
    """Keep one case of each test: the second run is the shorter one.

    Eager JAX compiles each operation anew for each shape, so a case that takes TensorFlow a second
    takes JAX ten. `--thorough` runs all.
    """

    def plain(item):  # JAX compiles the recurrence in either case
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        return parameters.get("jit_compile", True) is False

    chosen = {}
    for item in sorted(items, key=plain):  # which leaves the order of the others as it is
        name = getattr(item, "originalname", item.name)
        cell = item.callspec.params["name"] if "explicit_gradient" in name else None
        if name not in _COSTLY_ON_JAX:
            chosen.setdefault((item.path, name, cell), item)
    kept = {item.nodeid for item in chosen.values()}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
    items[:] = [item for item in items if item.nodeid in kept]


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
    keras.backend.clear_session(free_memory=False)  # a collection takes 0.4 s, more than most tests


# The collections that `register_...` functions add to.
_REGISTERED = (
    ("keras_seq.export._target", "_TARGETS"),
    ("keras_seq.export.targets._onnx_graph", "_EMITTERS"),
    ("keras_seq.stepping.pointwise", "_registered"),
    ("keras_seq.stepping.pointwise", "_registered_functions"),
)


@pytest.fixture(autouse=True)
def _what_a_test_registers_ends_with_it():
    """Which tests share a process differs from run to run, and so do the names registered in it.

    The code of the documentation, for one, registers targets and classes, and is run by more than
    one file.
    """
    import keras

    classes = keras.saving.get_custom_objects()  # a test may import modules: what is new stays
    classes_before = dict(classes)
    kept = [getattr(sys.modules[m], name) for m, name in _REGISTERED if m in sys.modules]
    before = [collection.copy() for collection in kept]
    yield
    classes.update(classes_before)
    for collection, copy in zip(kept, before, strict=True):
        collection.clear()
        collection.extend(copy) if isinstance(copy, list) else collection.update(copy)

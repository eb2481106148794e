import pathlib
import re

import keras
import numpy as np
import pytest

import keras_seq
from keras_seq.export import ExportedModel, ExportError, ExportTarget, register_target, to, verify
from keras_seq.export import _target as targets

PAGE = pathlib.Path(keras_seq.__file__).parent.parent / "docs" / "extending" / "export.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch, tmp_path):
    monkeypatch.setattr(targets, "_TARGETS", dict(targets._TARGETS))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def page():
    """What the blocks of the page define, all but the last run."""
    names = {}
    for block in BLOCKS[:-1]:
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_the_page_about_targets_runs_with_public_names_in_a_few_lines(page, capsys):
    assert page["report"].agrees and page["report"].values == 8 * (13 + 2 * 5 + 1)
    exec(compile(BLOCKS[-1], str(PAGE), "exec"), page)
    assert "does not agree with the Keras model's own call: `y` differs" in capsys.readouterr().out
    left = {path.name for path in pathlib.Path().iterdir()}
    assert left == {"run_archive.py", "model.npz"}
    assert not re.search(r"export\._|import _", "".join(BLOCKS))
    target = [line for line in BLOCKS[1].splitlines() if line.strip()]
    assert len(target) <= 30


def test_verify_finds_a_registered_target_and_other_weights(page):
    model = page["model"]
    assert verify("model.npz", model).format == "NumPy archive"
    model.set_weights([w + 1 for w in model.get_weights()])
    with pytest.raises(ExportError, match="does not agree"):
        verify("model.npz", model)
    with pytest.raises(ExportError, match="No export target knows"):
        verify("run_archive.py", model)
    with pytest.raises(ExportError, match="Could not run"):
        verify("run_archive.py", model, target="archive")


def test_inputs_of_the_user_are_compared_on(page):
    x = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")
    assert to("archive", page["model"], "m.npz", inputs=x).values == 3 * 7 * 8
    report = verify("m.npz", page["model"], x, metric=lambda outputs: outputs["y"].mean())
    mean = float(page["model"](x).numpy().mean())
    np.testing.assert_allclose(report.metric[1:], [mean, mean], atol=1e-6)
    with pytest.raises(ValueError, match="`metric` of verify must be a function, and `inputs`"):
        verify("m.npz", page["model"], metric=np.mean)
    with pytest.raises(ValueError, match="must fit the exported shape"):
        to("archive", page["model"], "m.npz", inputs=x[..., :2])


def test_a_target_that_gives_other_outputs_is_refused(page):
    code = pathlib.Path("run_archive.py").read_text()
    for change in (
        code.replace(":y", ":z"),  # another name
        code.replace("axis=1)", "axis=0)"),  # another shape
        code.replace("np.tanh(", "np.nan * np.tanh("),
    ):
        pathlib.Path("run_archive.py").write_text(change)
        with pytest.raises(ExportError, match=r"gives no output `y`|has shape|differs by nan"):
            to("archive", page["model"], "m.npz")
    assert not pathlib.Path("m.npz").exists()


def test_what_is_no_target_is_refused():
    with pytest.raises(TypeError, match="`target` of register_target must be"):
        register_target("none", ExportTarget)
    with pytest.raises(TypeError, match="`format`"):
        register_target("none", ExportTarget())
    with pytest.raises(ValueError, match=r"`target` must be one of .*'litert', .*'saved_"):
        to("pmml", None, "m.pmml")


def test_random_inputs_have_edges():
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras_seq.layers.PositionalEmbedding(9, 4, sequence_length=20)(ids)
    calls = [call["ids"] for call in ExportedModel(keras.Model(ids, x)).calls]
    assert {ids.shape[1] for ids in calls} == {13, 5, 1, 20}
    assert any((ids[-1] > 0).tolist() == [True] + [False] * 12 for ids in calls)


def test_an_edge_that_the_model_itself_does_not_take_is_left_out():
    x = keras.Input((None, 4), name="x")
    model = keras.Model(x, keras.layers.Conv1D(2, kernel_size=3)(x))
    assert [call["x"].shape[1] for call in ExportedModel(model).calls] == [13, 5]

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import keras_seq as ks
from keras_seq.inspection._gates import gates as gates_of
from keras_seq.plots._gates import gates

B, T, U = 2, 7, 5


def activations(names="ifgo"):
    rng = np.random.default_rng(0)
    found = {name: rng.uniform(size=(B, T, U)) for name in names}
    return {**found, "g": rng.uniform(-0.9, 0.9, size=(B, T, U))}


def panels(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.images}


def test_each_gate_has_a_panel_with_its_name():
    lstm = panels(gates(activations()))
    assert list(lstm) == ["input gate i", "forget gate f", "candidate g", "output gate o"]
    assert list(panels(gates(activations("zrg")))) == [
        "update gate z",
        "reset gate r",
        "candidate g",
    ]
    assert list(panels(gates({"m": np.ones((B, T, U))}))) == ["m"]
    for axes in lstm.values():
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("time step", "unit")


def test_a_panel_shows_units_against_time_of_the_chosen_row():
    given = activations()
    for row in (0, 1, -1):
        image = panels(gates(given, row=row))["forget gate f"].images[0]
        np.testing.assert_allclose(image.get_array(), given["f"][row].T, rtol=1e-6)


def test_gates_are_drawn_from_0_to_1_and_candidates_around_0():
    found = panels(gates(activations()))
    assert found["output gate o"].images[0].get_clim() == (0, 1)
    assert found["candidate g"].images[0].get_clim() == (-1, 1)
    relu = activations()
    relu["g"] = 7 * relu["g"] + 1
    low, high = panels(gates(relu))["candidate g"].images[0].get_clim()
    assert low == -high and high == pytest.approx(np.abs(relu["g"][0]).max())


def test_what_a_layer_gives_is_drawn():
    layer = ks.layers.GRU(U)
    x = np.ones((B, T, 3), "float32")
    layer(x)
    assert len(panels(gates(gates_of(layer, x)))) == 3


def test_tokens_stand_below_their_time_steps():
    def labels(tokens):
        axes = panels(gates(activations(), tokens=tokens))["input gate i"]
        return [label.get_text() for label in axes.get_xticklabels()]

    assert labels("a $1 $b") == list("a $1 $b")
    assert labels(["one", *"abcde", "Donaudampfschiff"])[::6] == ["one", "Donaudampfs…"]
    with pytest.raises(ValueError, match="one string for each of the 7 time steps"):
        gates(activations(), tokens="abc")


@pytest.mark.filterwarnings("error")
def test_one_step_one_unit_and_values_that_are_not_finite_are_drawn():
    gates({"f": [[[0.5]]]}).canvas.draw()
    gates({"f": np.full((1, 3, 2), np.nan)}).canvas.draw()
    gates(activations(), tokens="a $1 $b", title="Costs $5, $6").canvas.draw()


def test_gates_are_saved_with_nothing_beside_them(tmp_path):
    path = tmp_path / "new" / "gates.png"
    gates(activations(), path=path)
    assert [p.name for p in path.parent.iterdir()] == ["gates.png"]


def test_wrong_activations_are_refused():
    with pytest.raises(TypeError, match="must be a dict from gate name"):
        gates(np.ones((B, T, U)))
    for wrong in ({}, {"f": np.ones((T, U))}, {"f": np.ones((0, T, U))}):
        with pytest.raises(ValueError, match="arrays of one shape"):
            gates(wrong)
    with pytest.raises(ValueError, match="arrays of one shape"):
        gates({"f": np.ones((B, T, U)), "i": np.ones((B, T, U + 1))})
    with pytest.raises(ValueError, match=r"`row` must be in \[0, 2\)"):
        gates(activations(), row=2)
    with pytest.raises(TypeError, match="`row` must be an int"):
        gates(activations(), row=0.5)
    with pytest.raises(ValueError, match="must end in one of"):
        gates(activations(), path="gates.txt")

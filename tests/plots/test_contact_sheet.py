import pytest

pytest.importorskip("matplotlib")

from keras_seq.plots import contact_sheet, learning_curves


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / "first_loss.png", tmp_path / "second.png"]
    for path in paths:
        learning_curves({"loss": [2.0, 1.0]}, path=path)
    return paths


def test_each_picture_stands_under_its_name(pictures, tmp_path):
    figure = contact_sheet(pictures, path=tmp_path / "all.png", columns=1, title="All")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["first loss", "second"]
    assert all(len(axes.images) == 1 for axes in figure.axes)
    top, below = (axes.get_position().y0 for axes in figure.axes)
    assert top >= below and (tmp_path / "all.png").exists()


def test_pictures_can_be_given_names(pictures):
    figure = contact_sheet({"$a": pictures[0]})
    assert figure.axes[0].get_title(loc="left") == "$a"


def test_wrong_pictures_are_refused(pictures, tmp_path):
    with pytest.raises(ValueError, match="at least one file"):
        contact_sheet([])
    with pytest.raises(ValueError, match="`columns` must be"):
        contact_sheet(pictures, columns=0)
    with pytest.raises(FileNotFoundError):
        contact_sheet([tmp_path / "none.png"])

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from keras_seq.plots import attention_masks

CAUSAL = np.tril(np.ones((4, 4), bool))
PADDING = np.broadcast_to([True, True, True, False], (4, 4))
MASKS = {"padding": PADDING, "causal": CAUSAL, "both": PADDING & CAUSAL}
TOKENS = ["a", "$small$", "개", "<pad>"]


def test_each_mask_has_a_panel_with_its_values():
    figure = attention_masks(MASKS, TOKENS)
    assert [axes.get_title() for axes in figure.axes] == list(MASKS)
    for axes, mask in zip(figure.axes, MASKS.values(), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), mask)


def test_rows_are_named_where_queries_are_the_keys():
    square, wide = attention_masks({"own": CAUSAL, "source": CAUSAL[:2]}, "abcd").axes
    assert [label.get_text() for label in square.get_yticklabels()] == list("abcd")
    assert [label.get_text() for label in wide.get_xticklabels()] == list("abcd")
    assert "a" not in [label.get_text() for label in wide.get_yticklabels()]


def test_the_figure_is_saved(tmp_path):
    attention_masks(MASKS, TOKENS, path=tmp_path / "new" / "masks.png", title="Costs $5, $6")
    assert (tmp_path / "new" / "masks.png").read_bytes().startswith(b"\x89PNG")


def test_wrong_masks_and_tokens_are_refused():
    with pytest.raises(TypeError, match="`masks` must be a dict"):
        attention_masks(CAUSAL)
    with pytest.raises(ValueError, match="at least one mask"):
        attention_masks({})
    with pytest.raises(ValueError, match=r"each \(T, S\).*mask\[0\]"):
        attention_masks({"batch": CAUSAL[None]})
    with pytest.raises(ValueError, match="one string for each column"):
        attention_masks(MASKS, "abc")

import numpy as np
import pytest

from keras_seq.data import _texts, train_tokenizer
from keras_seq.data._texts import encoder, tokenize

END_ID = 3
TEXTS = [f"text {i} " + "ab" * i for i in range(40)]


@pytest.mark.parametrize("end", [False, True])
def test_ids_are_those_of_the_texts_in_their_order(monkeypatch, end):
    monkeypatch.setattr(_texts, "_CHARACTERS", 50)
    tokenizer = train_tokenizer(TEXTS, "character")
    rows = tokenize(tokenizer, TEXTS, end=end)
    expected = [[*tokenizer(text), *([END_ID] if end else [])] for text in TEXTS]
    assert [rows[i].tolist() for i in range(len(rows))] == expected
    assert len(tokenize(tokenizer, [])) == 0


def test_a_few_characters_are_tokenized_at_a_time(monkeypatch):
    monkeypatch.setattr(_texts, "_CHARACTERS", 50)
    monkeypatch.setattr(_texts, "_ROWS", 4)
    parts = list(encoder(train_tokenizer(TEXTS, "byte"))(TEXTS))
    for ids, lengths in parts:
        assert len(lengths) == 1 or (len(lengths) <= 4 and len(ids) <= 50)
    np.testing.assert_array_equal(np.concatenate([n for _, n in parts]), list(map(len, TEXTS)))

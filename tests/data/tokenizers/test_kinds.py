"""What is particular to a kind."""

import pytest

from keras_seq.data import train_tokenizer
from keras_seq.data.tokenizers import CodepointTokenizer, WordTokenizer


def test_words_are_the_most_frequent_and_equal_counts_go_by_the_alphabet():
    tokenizer = train_tokenizer(["b a c", "c b", "c d"], "word", vocabulary_size=7)
    assert tokenizer.get_vocabulary() == ["<pad>", "<unk>", "<s>", "</s>", "c", "b", "a"]
    assert tokenizer(["d c <unk>"]) == [[1, 4, 1]]
    assert tokenizer.detokenize([[1, 4]]) == ["<unk> c"]


def test_counts_of_words_that_differ_in_case_add_up():
    tokenizer = train_tokenizer(["b b The THE the"], "word", vocabulary_size=5, lowercase=True)
    assert tokenizer.get_vocabulary()[4:] == ["the"]


def test_frequent_words_are_one_piece_and_others_several():
    tokenizer = train_tokenizer(["playing played"] * 20 + ["plays"], "wordpiece")
    lengths = [len(row) for row in tokenizer(["playing", "played", "plays"])]
    assert lengths == [1, 1, 5] and tokenizer.detokenize(tokenizer(["plays"])) == ["plays"]


def test_word_pieces_cover_alphabets_of_thousands_of_characters():
    syllables = [chr(0xAC00 + i) for i in range(3000)]
    tokenizer = train_tokenizer(["".join(syllables)], "wordpiece")
    assert 1 not in tokenizer(["".join(syllables)])[0]


def test_the_character_0_is_white_space_to_word_pieces():
    tokenizer = train_tokenizer(["a b"], "wordpiece")
    assert tokenizer.detokenize(tokenizer(["\0a\0b", "\0"])) == ["a b", ""]


def test_long_words_are_pieces_too():
    tokenizer = train_tokenizer(["ab" * 500], "wordpiece")
    assert tokenizer.detokenize(tokenizer(["ab" * 5000])) == ["ab" * 5000]


def test_white_space_alone_makes_no_word():
    for kind in ("word", "wordpiece"):
        tokenizer = train_tokenizer([" \t\u3000"], kind)
        assert tokenizer.vocabulary_size() == 4 and tokenizer([" ", "a"]) == [[], [1]]


def test_byte_pairs_that_are_frequent_are_merged():
    tokenizer = train_tokenizer(["low lower lowest"] * 9, "bpe", vocabulary_size=20)
    assert "▁low" in tokenizer.get_vocabulary()


def test_bytes_have_names_that_can_be_read():
    tokenizer = train_tokenizer(["a"], "byte")
    assert [tokenizer.id_to_token(i + 4) for i in (0x61, 0x0A, 0xC3)] == ["a", "<0x0A>", "<0xC3>"]
    assert tokenizer.detokenize([1, 0x61 + 4]) == "\ufffda"


def test_code_points_beyond_the_greatest_of_the_texts_are_unknown():
    tokenizer = train_tokenizer(["aé"], "codepoint")
    assert tokenizer.vocabulary_size() == ord("é") + 4 + 1
    assert tokenizer(["é€"]) == [[ord("é") + 4, 1]]
    assert tokenizer.detokenize([[1, ord("é") + 4]]) == ["\ufffdé"]


def test_half_a_pair_of_surrogates_has_a_name_and_no_text():
    tokenizer = CodepointTokenizer()
    assert tokenizer.id_to_token(0xD800 + 4) == "<U+D800>"
    assert tokenizer.detokenize([0xD800 + 4]) == "\ufffd"
    assert tokenizer.vocabulary_size() == 0x110000 + 4


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [(["a", "b"], "must begin with"), (["<pad>", "<unk>", "<s>", "</s>", "a", "a"], "once")],
)
def test_a_wrong_vocabulary_is_refused(vocabulary, message):
    with pytest.raises(ValueError, match=f"`vocabulary` {message}|`vocabulary` must .*{message}"):
        WordTokenizer(vocabulary)

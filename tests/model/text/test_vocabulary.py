import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import WeightsError
from model.text.tokenizer import load_encoding
from model.text.vocabulary import TextDecoder, Vocabulary

ONLY_BYTES = Vocabulary([])
SOME = Vocabulary(range(3000))
UNDEFINED = [100256, *range(100261, 100276)]
unicode_text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize("vocabulary", [ONLY_BYTES, SOME], ids=["bytes", "3000"])
@given(text=unicode_text)
def test_every_text_comes_back_unchanged(vocabulary: Vocabulary, text: str):
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert all(0 <= i < vocabulary.end for i in ids)


@given(text=unicode_text)
def test_the_full_vocabulary_is_cl100k_itself(full: Vocabulary, text: str):
    ids = full.encode(text)
    assert [int(full.kept[i]) for i in ids] == load_encoding().encode_ordinary(text)


@pytest.fixture(scope="module")
def full() -> Vocabulary:
    return Vocabulary.full()


def test_full_keeps_all_that_stands_for_text(full: Vocabulary):
    assert full.size == 100_257
    assert not set(UNDEFINED) & set(full.kept.tolist())


@pytest.mark.parametrize("token", [*UNDEFINED, -1, 100_277])
def test_undefined_ids_are_refused(token: int):
    with pytest.raises(WeightsError, match=str(token)):
        Vocabulary([token])


def test_a_character_is_whole_though_the_ids_that_lead_to_it_are_not_kept():
    only_euro = Vocabulary([load_encoding().encode_single_token("€")])
    assert [only_euro.pieces[i] for i in only_euro.encode("€™")] == [
        "€".encode(),
        *(bytes([byte]) for byte in "™".encode()),
    ]


def test_a_word_that_is_not_kept_is_merged_from_kept_pieces():
    text = " grandmother"
    pieces = [SOME.pieces[i] for i in SOME.encode(text)]
    assert len(load_encoding().encode_ordinary(text)) == 1
    assert 1 < len(pieces) < len(text)


def test_written_out_end_of_text_is_ordinary_text():
    ids = SOME.encode("<|endoftext|>")
    assert SOME.end not in ids
    assert SOME.decode(ids) == "<|endoftext|>"


def test_a_character_leaves_only_when_its_last_byte_has_come():
    decoder = TextDecoder(ONLY_BYTES.pieces)
    assert [decoder.feed(i) for i in ONLY_BYTES.encode("武a")] == ["", "", "武", "a"]

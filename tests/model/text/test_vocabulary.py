import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import WeightsError
from model.inference.utf8_mask import Utf8Mask
from model.inference.word_boundary_mask import WordBoundaryMask
from model.text.tokenizer import END_OF_TEXT, load_encoding
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


WORDS = [b" the", b" hello", b"hello", b" wor", b"ld", b" zyzzyva", b" world", "武".encode()]
PIECES = [*(bytes([byte]) for byte in range(256) if byte != 0xF1), *WORDS]
PATTERN = r" ?\p{L}+|\p{N}|\s+|[^\s\p{L}\p{N}]+"


@pytest.fixture(scope="module")
def rows() -> Vocabulary:
    encoding = load_encoding()
    spelt = [
        [encoding.encode_single_token(p)] if len(p) == 1 else encoding.encode(p.decode())
        for p in PIECES
    ]
    lengths = [*map(len, spelt), 1]
    return Vocabulary([*(i for ids in spelt for i in ids), END_OF_TEXT], lengths, PATTERN)


def test_rows_of_another_tokenizer_are_merged_in_its_order(rows: Vocabulary):
    assert rows.pieces == [*PIECES, b""]
    assert rows.end == len(PIECES)
    assert [rows.pieces[i] for i in rows.encode("hello world zyzzyva12")] == [
        *(b"hello", b" world", b" zyzzyva", b"1", b"2")
    ]  # " wor" and "ld" make " world", as the rank of " wor" is lower


def test_a_row_knows_the_ids_that_spell_it(rows: Vocabulary):
    the, zyzzyva = (PIECES.index(piece) for piece in (b" the", b" zyzzyva"))
    assert rows.spelling(the) == (279,)
    assert len(rows.spelling(zyzzyva)) > 1
    assert load_encoding().decode(list(rows.spelling(zyzzyva))) == " zyzzyva"
    assert rows.spelling(rows.end) == (END_OF_TEXT,)
    assert SOME.spelling(SOME.encode("a")[0]) == (64,)


@given(text=unicode_text)
def test_rows_give_back_every_text_whose_bytes_they_have(rows: Vocabulary, text: str):
    text = "".join(c for c in text if c.encode()[0] != 0xF1)
    ids = rows.encode(text)
    assert rows.decode(ids) == text
    assert rows.end not in ids


def test_a_byte_without_a_row_is_left_out(rows: Vocabulary):
    assert rows.encode("a\U00040000b") == [ord("a"), 0x80, 0x80, 0x80, ord("b")]


def test_documents_of_cl100k_base_ids_are_cut_anew(rows: Vocabulary):
    encoding = load_encoding()
    ids = [*encoding.encode(" the zyzzyva"), END_OF_TEXT, *encoding.encode("hello"), END_OF_TEXT]
    expected = [*rows.encode(" the zyzzyva"), rows.end, *rows.encode("hello"), rows.end]
    assert rows.compact(np.array(ids)).tolist() == expected
    assert rows.compact(np.array(ids[:-1])).tolist() == expected[:-1]


@pytest.mark.parametrize(
    ("ids", "lengths", "pattern", "message"),
    [
        ([1, 2, END_OF_TEXT], [1, 1], ".", "do not fit their lengths"),
        ([1, 2, END_OF_TEXT], [2, 0, 1], ".", "do not fit their lengths"),
        ([1, END_OF_TEXT, 2], [1, 1, 1], ".", "do not fit their lengths"),
        ([END_OF_TEXT, END_OF_TEXT], [1, 1], ".", "do not fit their lengths"),
        ([1, 1, END_OF_TEXT], [1, 1, 1], ".", "twice"),
        ([1, 100_270, END_OF_TEXT], [1, 1, 1], ".", "100270"),
        ([1, 2, END_OF_TEXT], [1, 1, 1], "(", "no regular expression"),
        ([1, 2, END_OF_TEXT], [1, 1, 1], "", "matches empty text"),
        ([1, 2, END_OF_TEXT], [1, 1, 1], "z*", "matches empty text"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    ids: list[int], lengths: list[int], pattern: str, message: str
):
    with pytest.raises(WeightsError, match=message):
        Vocabulary(ids, lengths, pattern)


def test_the_masks_take_rows(rows: Vocabulary):
    characters, words = Utf8Mask(rows.pieces), WordBoundaryMask(rows.pieces)
    hanzi, letter, word, end = (PIECES.index(p) for p in ("武".encode(), b"x", b" the", b"\x80"))
    assert characters.mask()[[hanzi, letter, word, rows.end]].eq(0).all()
    assert characters.mask()[end] < -1e8
    words.reset("a fox")
    assert words.mask()[[hanzi, word, rows.end]].eq(0).all()
    assert words.mask()[letter] < -1e8

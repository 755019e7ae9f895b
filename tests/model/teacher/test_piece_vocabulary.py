import random
import re
from pathlib import Path

import pytest
import torch

from config.errors import WeightsError
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights, load_weights, save_weights
from model.inference.utf8_mask import Utf8Mask
from model.inference.word_boundary_mask import WordBoundaryMask
from model.teacher.llama2c import encode_piece, read_story_model, start_from_story_model
from model.teacher.piece_vocabulary import PATTERN, piece_vocabulary, with_characters
from model.text.tokenizer import END_OF_TEXT
from model.text.vocabulary import TextDecoder, Vocabulary
from tests.model.story_model import MORE_PIECES, write_story_model

BASIS = 256 + 2 + 1  # bytes, what the bytes of “ are merged to, <|endoftext|>
TEXT = "the “qz zqz“\nthe hen qz  the zzqz"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_story_model(tmp_path / "llama2.data", MORE_PIECES)


@pytest.fixture
def vocabulary(path: Path) -> Vocabulary:
    return piece_vocabulary(path, [TEXT], BASIS + 7)


def pieces_of(vocabulary: Vocabulary, text: str) -> list[bytes]:
    return [vocabulary.pieces[i] for i in vocabulary.encode(text)]


def test_text_is_cut_as_the_story_model_cuts_it(path: Path, vocabulary: Vocabulary):
    story = read_story_model(path)
    rng = random.Random(1)
    texts = [TEXT, *("".join(rng.choices("theqz “\n", k=30)) for _ in range(200))]
    for text in texts:
        expected = [story.pieces[i] for i in encode_piece(story, text.encode())]
        assert pieces_of(vocabulary, text) == expected
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_a_piece_that_is_no_single_id_is_one_row(path: Path, vocabulary: Vocabulary):
    row = vocabulary.pieces.index(b" qz")
    assert vocabulary.encode("the qz")[-1] == row
    assert len(vocabulary.spelling(row)) == 2
    own = read_story_model(path)
    embedding = start_from_story_model(path, vocabulary).embedding.weight.detach()
    torch.testing.assert_close(
        embedding[row], torch.from_numpy(own.embedding[own.pieces.index(b" qz")].copy())
    )


def test_every_text_has_an_encoding(vocabulary: Vocabulary):
    text = "Ünïcode 🦊 “狐狸” \t\0 zq"
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_what_documents_use_most_is_kept(path: Path):
    few = piece_vocabulary(path, ["he he the", "he qz"], BASIS + 1)
    assert few.size == BASIS + 1
    assert b"he" in few.pieces
    assert not {b" qz", b"qz", b"the"} & set(few.pieces)
    assert pieces_of(few, "qz") == [b"q", b"z"]


def test_a_piece_is_kept_only_with_those_that_it_is_made_of(path: Path):
    for size in range(BASIS, BASIS + 8):
        vocabulary = piece_vocabulary(path, [TEXT], size)
        assert vocabulary.size == size
        for piece in vocabulary.pieces[256:-1]:
            if piece.isascii():
                assert pieces_of(vocabulary, piece.decode()) == [piece]


def test_too_small_a_size_is_refused(path: Path):
    with pytest.raises(WeightsError, match="at least 259 rows"):
        piece_vocabulary(path, [TEXT], 258)


def test_parts_of_text_are_cut_where_no_piece_goes_on():
    text = "a  bc\n d \n\n  e "
    assert "".join(re.findall(PATTERN, text)) == text
    assert re.findall(PATTERN, text) == ["a", "  bc", "\n", " d", " ", "\n", "\n", "  e", " "]


def test_a_weights_file_keeps_the_rows(path: Path, vocabulary: Vocabulary, tmp_path: Path):
    model = start_from_story_model(path, vocabulary)
    stored = StoredModel.of(model)
    save_weights(tmp_path / "en.safetensors", Weights(stored, vocabulary, "en", "MIT", ""))
    loaded = load_weights(tmp_path / "en.safetensors")
    assert loaded.vocabulary.pieces == vocabulary.pieces
    assert loaded.vocabulary.encode(TEXT) == vocabulary.encode(TEXT)


def test_drawn_rows_decode_to_their_text(vocabulary: Vocabulary):
    decoder = TextDecoder(vocabulary.pieces)
    assert "".join(decoder.feed(i) for i in vocabulary.encode(TEXT)) == TEXT
    mask = Utf8Mask(vocabulary.pieces)
    half = vocabulary.pieces.index("“".encode()[:2])  # a row only so that the whole can be merged
    mask.feed(half)
    allowed = {vocabulary.pieces[i] for i in torch.nonzero(mask.mask() == 0).flatten().tolist()}
    assert b"\x9c" in allowed
    assert not allowed & {b" qz", b"qz", "“".encode()}


def test_a_continuation_may_not_begin_with_a_row_inside_a_word(vocabulary: Vocabulary):
    mask = WordBoundaryMask(vocabulary.pieces)
    mask.reset("the hen")
    allowed = {vocabulary.pieces[i] for i in torch.nonzero(mask.mask() == 0).flatten().tolist()}
    assert b" qz" in allowed
    assert b"qz" not in allowed


def test_common_characters_are_rows_whether_texts_have_them_or_not(path: Path):
    assert "“".encode() in piece_vocabulary(path, ["the hen"], BASIS + 3).pieces


def test_characters_are_added_to_a_vocabulary_without_them(path: Path):
    without = Vocabulary([*range(256), 279, END_OF_TEXT], [1] * 258, PATTERN)
    wider = with_characters(path, without)
    assert {*without.pieces, "“".encode()} <= set(wider.pieces)
    assert wider.size == without.size + 2  # the character, and its first two bytes
    assert pieces_of(wider, " the“") == [b" ", b"t", b"h", b"e", "“".encode()]

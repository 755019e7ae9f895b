from pathlib import Path

import pytest

from model.data.corpus import CorpusFile, load_corpus, read_documents
from model.train.style.amount import Style
from model.train.style.mix import is_new_form, mix

STARTER = Path(__file__).parents[4] / "model" / "starter"
MINE = [f"Fox number {n} ran over the hill and was not seen by the hens again." for n in range(80)]
PROSE = (
    "今天早上我去市场买菜，路上遇见一位多年没有见面的老同学。他说他刚从南方回来，想在这里住下去。",
    "初，郑武公娶于申，曰武姜，生庄公及共叔段。庄公寤生，惊姜氏，故名曰寤生，遂恶之。",
)


def test_the_share_of_starter_documents_follows_the_style():
    for style, expected in ((Style(0), 1 / 3), (Style(), 1 / 19)):
        corpus = mix(MINE, "en", 1, style.starter_share)
        mine, *others = corpus.sources
        drawn = sum(source.share * len(source.documents) for source in others)
        assert drawn / len(mine.documents) == pytest.approx(expected, rel=0.01)
        assert (mine.spoken, {source.spoken for source in others}) == (True, {False})
        assert set(corpus.held_out) < set(MINE)
        assert not set(corpus.held_out) & set(mine.documents)
    assert len(mix(MINE, "en", 1, Style(1).starter_share).sources) == 1


def test_all_of_the_starter_corpus_is_the_most():
    pieces = [f"Fox {n}." for n in range(20_000)]
    _, starter = mix(pieces, "en", 1, 0.25).sources
    assert starter.share == 1
    assert len(starter.documents) == len(load_corpus([starter_file("en")], 1).sources[0].documents)


def starter_file(language: str) -> CorpusFile:
    return CorpusFile(STARTER / f"{language}.txt.xz")


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_a_new_form_for_weights_of_verse(text: str):
    assert is_new_form([text] * 3, "zh")
    style = Style(0.3, new_form=True)
    assert (style.starter_share, style.kept) == (0, 1)


def test_verse_and_english_are_no_new_form():
    poems = read_documents(STARTER / "zh.txt.xz")
    assert not any(is_new_form(poems[n : n + 40], "zh") for n in range(0, 400, 40))
    assert not is_new_form(MINE, "en")

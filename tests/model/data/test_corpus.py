import lzma
from pathlib import Path

import numpy as np
import pytest

from config.errors import InputError
from config.paths import cache_folder
from model.data import corpus as corpora
from model.data.corpus import CorpusFile, load_corpus, parse_corpus_file, read_documents
from model.text.tokenizer import load_encoding
from model.text.vocabulary import Vocabulary
from tests.model.made import story_text


@pytest.fixture
def stories(tmp_path: Path) -> Path:
    path = tmp_path / "stories.txt"
    path.write_text(story_text())
    return path


def test_documents_end_at_lines_with_the_separator(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(
        "\ufeffOne\r\ntwo\r\n<|endoftext|>\r\n\n<|endoftext|>\nthree <|endoftext|> 3\n".encode()
    )
    assert read_documents(path) == ["One\ntwo", "three <|endoftext|> 3"]


def test_packed_files_are_unpacked(tmp_path: Path):
    path = tmp_path / "a.txt.xz"
    path.write_bytes(lzma.compress("Ein Märchen".encode()))
    assert read_documents(path) == ["Ein Märchen"]


def test_a_sole_long_document_is_cut_at_lines(tmp_path: Path):
    path = tmp_path / "novel.md"
    lines = [f"Line {n} of the novel goes on and on." for n in range(1000)]
    path.write_text("\n".join(lines))
    documents = read_documents(path)
    assert len(documents) > 10
    assert "\n".join(documents).split("\n") == lines


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"Once upon \xff a time", r"a\.txt is not UTF-8 at byte 10"),
        ("a.txt", b"", "holds no text"),
        ("a.txt", b" \n<|endoftext|>\n\n", "holds no text"),
        ("a.txt.xz", b"no xz", "not a complete .xz file"),
        ("a.txt.xz", lzma.compress(b"text" * 999)[:-9], "not a complete .xz file"),
    ],
)
def test_files_that_hold_no_text_are_refused(
    tmp_path: Path, name: str, content: bytes, message: str
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_documents(tmp_path / name)


def test_missing_files_and_folders_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.txt is missing"):
        read_documents(tmp_path / "none.txt")
    with pytest.raises(InputError, match="cannot be read: it is a folder; name the files in it"):
        read_documents(tmp_path)
    (tmp_path / "book.epub").mkdir()
    with pytest.raises(InputError, match=r"book\.epub is a folder, no file"):
        read_documents(tmp_path / "book.epub")


def test_a_long_line_is_cut_at_sentences_and_blanks(tmp_path: Path):
    path = tmp_path / "transcript.txt"
    for text in ("the fox ran over the hill " * 4_000, "那只狐狸走过雪地没有人看见它" * 4_000):
        path.write_text(text.strip())
        documents = read_documents(path)
        assert len(documents) > 15
        assert all(len(document) <= 16_000 for document in documents)
        assert "".join("".join(documents).split()) == "".join(text.split())


def test_a_file_that_cannot_be_used_is_left_out_and_told(tmp_path: Path, stories: Path):
    (tmp_path / "bad.txt").write_bytes(bytes(999))
    old = tmp_path / "old.txt"
    old.write_bytes(("Das Füchslein schläft. " * 50).encode("latin-1"))
    names = ["none.txt", "bad.txt", "old.txt", stories.name]
    files = [CorpusFile(tmp_path / name) for name in names]
    with pytest.raises(InputError, match=r"none\.txt is missing\. .*bad\.txt holds no text"):
        load_corpus(files, seed=1)
    corpus = load_corpus(files, seed=1, partial=True)
    assert len(corpus.sources) == 2
    assert corpus.notes == [f"{old}: read as Windows-1252"]
    assert [str(error) for error in corpus.errors] == [
        f"The text file {tmp_path / 'none.txt'} is missing.",
        f"The text file {tmp_path / 'bad.txt'} holds no text.",
    ]
    with pytest.raises(InputError, match=r"none\.txt is missing\. .*bad\.txt holds no text"):
        load_corpus(files[:2], seed=1, partial=True)


@pytest.mark.parametrize("sentence", ["The fox ran over the hills. ", "那只狐狸走过雪地。", "fox "])
def test_five_thousand_characters_are_enough(sentence: str, tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text((sentence * 5_000)[:5_000])
    corpus = load_corpus([CorpusFile(path)], seed=1)
    assert corpus.held_out
    path.write_text((sentence * 5_000)[:4_500])
    with pytest.raises(InputError, match=r"4,\d+ characters; at least about 5,000 characters"):
        load_corpus([CorpusFile(path)], seed=1)


def test_of_many_short_files_one_is_held_out(tmp_path: Path):
    files = []
    for n in range(30):
        path = tmp_path / f"{n}.txt"
        path.write_text(f"Note {n}. " + "The fox ran. " * 20)
        files.append(CorpusFile(path))
    corpus = load_corpus(files, seed=1)
    assert (len(corpus.sources), len(corpus.held_out)) == (29, 1)


def test_pages_and_books_are_read_as_text(tmp_path: Path):
    path = tmp_path / "page.html"
    path.write_text("<p>The fox.</p><p>The hen.</p>")
    assert read_documents(path) == ["The fox.\n\nThe hen."]


@pytest.mark.parametrize("text", ["The end.", "The fox ran.\n<|endoftext|>\nThe hen sat."])
def test_a_tiny_corpus_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"a\.txt\) is too small: \d+ tokens"):
        load_corpus([CorpusFile(path)], seed=1)


def test_shares_follow_the_last_at_sign(tmp_path: Path):
    odd = tmp_path / "odd@0.5"
    odd.touch()
    assert parse_corpus_file("a.txt@0.2") == CorpusFile(Path("a.txt"), 0.2)
    assert parse_corpus_file("me@home.txt") == CorpusFile(Path("me@home.txt"))
    assert parse_corpus_file(str(odd)) == CorpusFile(odd)
    for share in ("0", "1.5", "-1", "nan"):
        with pytest.raises(InputError, match="must be above 0 and at most 1"):
            parse_corpus_file(f"a.txt@{share}")


def test_held_out_documents_are_not_trained_on(stories: Path):
    corpus = load_corpus([CorpusFile(stories)], seed=1)
    [source] = corpus.sources
    assert len(corpus.held_out) == 1
    assert sorted([*corpus.held_out, *source.documents]) == sorted(read_documents(stories))
    for i, document in enumerate(source.documents):
        tokens = source.tokens[source.starts[i] : source.starts[i + 1] - 1]
        assert load_encoding().decode(tokens.tolist()) == document


def test_tokens_are_cached_by_content(stories: Path, monkeypatch: pytest.MonkeyPatch):
    first = load_corpus([CorpusFile(stories)], seed=1)
    [cached] = (cache_folder() / "tokens").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "load_encoding", lambda: pytest.fail("tokenized again"))
        second = load_corpus([CorpusFile(stories)], seed=1)
    np.testing.assert_array_equal(second.sources[0].tokens, first.sources[0].tokens)
    cached.write_bytes(cached.read_bytes()[:-40])
    third = load_corpus([CorpusFile(stories)], seed=1)
    np.testing.assert_array_equal(third.sources[0].tokens, first.sources[0].tokens)


def test_a_cache_that_cannot_be_written_does_no_harm(stories: Path, home: Path):
    cache_folder().parent.mkdir(exist_ok=True)
    cache_folder().write_text("in the way")
    assert load_corpus([CorpusFile(stories)], seed=1).held_out


def test_the_fingerprint_tells_corpora_apart(stories: Path):
    one = load_corpus([CorpusFile(stories)], seed=1).fingerprint
    assert load_corpus([CorpusFile(stories)], seed=1).fingerprint == one
    stories.write_text(stories.read_text().replace("fox", "wolf"))
    assert load_corpus([CorpusFile(stories)], seed=1).fingerprint != one


def test_the_vocabulary_holds_what_is_frequent(stories: Path):
    corpus = load_corpus([CorpusFile(stories)], seed=1)
    few, more = (
        corpora.choose_vocabulary(corpus, Vocabulary.full(), n).pieces for n in (10_000, 8)
    )
    assert len(few) == 257
    assert b" fox" in more
    assert set(few) < set(more)


def test_a_size_is_filled_with_the_commonest_of_those_there_are(stories: Path):
    corpus = load_corpus([CorpusFile(stories)], seed=1)
    among = Vocabulary(range(3000))  # " fox" is not among them
    filled = corpora.choose_vocabulary(corpus, among, 10_000, size=600)
    assert filled.size == 600
    assert b" the" in filled.pieces
    assert b" fox" not in filled.pieces
    assert set(filled.kept.tolist()) <= set(among.kept.tolist())


def test_what_is_chosen_stays_in_its_merge_order(stories: Path):
    corpus = load_corpus([CorpusFile(stories)], seed=1)
    order = list(reversed(range(3000)))
    chosen = corpora.choose_vocabulary(corpus, Vocabulary(order), 10_000, size=600)
    kept = chosen.merge_order[:-1].tolist()
    assert kept == sorted(kept, reverse=True)
    assert order[0] in kept  # what fills it up comes from the front

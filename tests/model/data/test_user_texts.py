import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from config.errors import InputError, MissingPackageError
from config.installation import add_extra_command
from model.data import user_texts
from model.data.user_texts import find_user_texts, read_user_text, read_user_texts
from tests.support.program import ROOT

CONTAINER = """<?xml version="1.0"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">
<rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>
</rootfiles>
</container>"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><manifest>
<item id="two" href="two%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="style" href="style.css" media-type="text/css"/>
<item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>
</manifest><spine><itemref idref="one"/><itemref idref="two"/></spine></package>"""
ONE = """<?xml version="1.0" encoding="utf-8"?>
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>no text</title></head><body>
<h1>The Fox</h1><p>A fox,<sup>1</sup> “old &amp; <i>grey</i>”,
  lived here.</p><p>Rain.<br/>Snow.</p><!-- no text --><script>no text</script></body></html>"""
TWO = "<html><body><div>那只狐狸。</div></body></html>"


def epub(path: Path, **more: str) -> Path:
    parts = {
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": PACKAGE,
        "OEBPS/text/one.xhtml": ONE,
        "OEBPS/two b.xhtml": TWO,
        **{name.replace("__", "/").replace("_xml", ".xml"): text for name, text in more.items()},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return path


def test_an_e_book_is_read_in_the_order_of_its_spine(tmp_path: Path):
    text = read_user_text(epub(tmp_path / "fox.epub")).text
    assert text == "The Fox\n\nA fox, “old & grey”, lived here.\n\nRain.\nSnow.\n\n那只狐狸。"


def test_only_the_encryption_of_chapters_matters(tmp_path: Path):
    def locking(part: str) -> str:
        return f'<encryption><CipherReference URI="{part}"/></encryption>'

    fonts = epub(tmp_path / "fonts.epub", **{"META-INF__encryption_xml": locking("a.otf")})
    assert "The Fox" in read_user_text(fonts).text
    name = "OEBPS/text/one.xhtml"
    locked = epub(tmp_path / "locked.epub", **{"META-INF__encryption_xml": locking(name)})
    with pytest.raises(InputError, match=r"locked\.epub is encrypted"):
        read_user_text(locked)


def test_a_damaged_e_book_is_told(tmp_path: Path):
    whole = epub(tmp_path / "fox.epub").read_bytes()
    (tmp_path / "half.epub").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.epub").write_text("no book")
    with zipfile.ZipFile(tmp_path / "empty.epub", "w") as book:
        book.writestr("mimetype", "application/epub+zip")
    for name in ("half", "text", "empty"):
        with pytest.raises(InputError, match=f"{name}.epub is no whole e-book"):
            read_user_text(tmp_path / f"{name}.epub")
    unread = epub(tmp_path / "unread.epub", OEBPS__book_opf="").rename(tmp_path / "u.epub")
    with zipfile.ZipFile(unread, "a") as book, pytest.warns(UserWarning, match="Duplicate name"):
        book.writestr("OEBPS/book.opf", "<package/>")
    with pytest.raises(InputError, match="lists no chapters"):
        read_user_text(unread)


def test_markdown_loses_its_marks(tmp_path: Path):
    path = tmp_path / "diary.md"
    path.write_text(
        "---\ntitle: Diary\n---\n# Monday\n\nWe *saw* a [fox](https://fox.example),\nsays she.\n\n"
        "- one\n- two\n\n```\ncode\n```\n\n<b>raw</b>\n"
    )
    text = read_user_text(path).text
    assert text == "Monday\n\nWe saw a fox, says she.\n\none\n\ntwo\n\nraw"


def test_broken_lines_are_joined_but_not_those_of_poems(tmp_path: Path):
    prose, poem = tmp_path / "prose.txt", tmp_path / "poem.txt"
    line = "The fox went out on a chilly night and prayed for the moon"
    prose.write_text(f"{line}\n{line}\nto give.\n\n{line}\n{line}\n")
    poem.write_text("Tyger Tyger,\nburning bright,\n\nIn the forests\nof the night\n")
    assert read_user_text(prose).text == f"{line} {line} to give.\n\n{line} {line}"
    assert read_user_text(poem).text == poem.read_text().strip()


def test_the_licence_of_project_gutenberg_is_left_out(tmp_path: Path):
    path = tmp_path / "pg.txt"
    path.write_text(
        "Licence\n*** START OF THE PROJECT GUTENBERG EBOOK FOX ***\n\nA fox.\n\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK FOX ***\nMore licence\n"
    )
    assert read_user_text(path).text == "A fox."


def test_which_files_are_read(tmp_path: Path):
    names = ["b.txt", "a.EPUB", "en/c.md", "zh/d.txt", "e.docx", ".hidden.txt", ".git/f.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def found(language: str) -> tuple[set[str], set[str]]:
        files, left_out = find_user_texts(tmp_path, language)
        return {path.name for path in files}, {path.name for path in left_out}

    assert found("en") == ({"b.txt", "a.EPUB", "c.md"}, {"e.docx"})
    assert found("zh") == ({"b.txt", "a.EPUB", "d.txt"}, {"e.docx"})


@pytest.mark.parametrize(
    ("name", "package"), [("fox.epub", "bs4"), ("fox.md", "bs4"), ("fox.md", "markdown_it")]
)
def test_missing_packages_are_told(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    path = epub(tmp_path / "fox.epub")
    (tmp_path / "fox.md").write_text("A fox.")
    with pytest.raises(MissingPackageError, match=re.escape(add_extra_command("train"))):
        read_user_text(path.with_name(name))


def found_names(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in find_user_texts(folder, "en")[0]]


def test_linked_folders_and_files_are_followed_and_nothing_is_found_twice(tmp_path: Path):
    books, corpus = tmp_path / "books", tmp_path / "corpus"
    (books / "old").mkdir(parents=True)
    corpus.mkdir()
    for name in ("fox.txt", "old/hen.txt"):
        (books / name).write_text(name)
    (corpus / "Books").symlink_to(books)
    (corpus / "More").symlink_to(books / "old")
    (books / "circle").symlink_to(corpus)
    (books / "old" / "itself").symlink_to(".")
    (corpus / "again.txt").symlink_to(books / "fox.txt")
    os.link(books / "old" / "hen.txt", books / "hard.txt")
    found, left_out = find_user_texts(corpus, "en")
    assert sorted(path.read_text() for path in found) == ["fox.txt", "old/hen.txt"]
    assert left_out == []
    (tmp_path / "link").symlink_to(corpus)
    assert len(find_user_texts(tmp_path / "link", "en")[0]) == 2


def test_what_is_no_file_does_not_block_and_is_told(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo.txt")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device.txt").symlink_to("/dev/zero")
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    (tmp_path / "Books").symlink_to("nowhere")
    (tmp_path / "circle.txt").symlink_to("circle.txt")
    (tmp_path / "folder.txt").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.txt"))
        files, left_out = find_user_texts(tmp_path, "en")
        read = read_user_texts(files)
    assert (read.texts, left_out) == ([], [])
    assert [str(error).replace(f"{tmp_path}/", "") for error in read.errors] == [
        "Books links to a file that is missing.",
        "circle.txt cannot be read: Too many levels of symbolic links.",
        "device.txt is no regular file.",
        "fifo.txt is no regular file.",
        "gone.txt links to a file that is missing.",
        "socket.txt is no regular file.",
    ]


def test_what_may_not_be_read_is_told(tmp_path: Path):
    (tmp_path / "locked").mkdir(0)
    (tmp_path / "locked.txt").touch(0)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from model.data.user_texts import find_user_texts, read_user_texts\n"
        "found, _ = find_user_texts(Path(sys.argv[1]), 'en')\n"
        "print(*read_user_texts(found).errors, sep='\\n')"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    if os.geteuid() == 0:  # root may read everything
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed, and root may do anything")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.replace(f"{tmp_path}/", "").splitlines() == [
        "The folder locked cannot be read; look at its permissions.",
        "The text file locked.txt cannot be read: Permission denied.",
    ], done.stderr


def test_names_that_are_not_utf8_are_found_and_read(tmp_path: Path):
    folder = os.fsencode(tmp_path) + b"/F\xfcchse"
    os.mkdir(folder)  # noqa: PTH102
    with open(folder + b"/F\xfcchsin.txt", "w") as file:  # noqa: PTH123
        file.write("The fox.")
    [path] = find_user_texts(tmp_path, "en")[0]
    assert read_user_text(path).text == "The fox."


def test_bad_files_are_told_all_at_once_and_the_others_are_read(tmp_path: Path):
    epub(tmp_path / "fox.epub")
    for name, data in {
        "bad.epub": b"no book",
        "binary.txt": bytes(range(256)) * 9,
        "empty.md": b"",
        "blank.txt": b" \n\t" * 300_000,
        "latin.txt": ("Das Füchslein schläft. " * 2).encode("latin-1"),
        "one.txt": b"The hen sat.",
        "one again.txt": b"The hen sat.\n",
    }.items():
        (tmp_path / name).write_bytes(data)
    files, _ = find_user_texts(tmp_path, "en")
    read = read_user_texts([*files, tmp_path / "vanished.txt"])
    assert [(text.path.name, text.note) for text in read.texts] == [
        ("fox.epub", ""),
        ("latin.txt", "read as Windows-1252"),
        ("one again.txt", ""),
    ]
    assert [str(error).replace(f"{tmp_path}/", "") for error in read.errors] == [
        "bad.epub is no whole e-book (EPUB): File is not a zip file.",
        "binary.txt holds binary data, no text.",
        "blank.txt holds no text.",
        "empty.md holds no text.",
        "one.txt holds the same text as one again.txt.",
        "vanished.txt is missing.",
    ]


def test_a_fault_of_a_parser_is_an_error_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(_: str) -> str:
        raise AssertionError("unexpected")

    (tmp_path / "a.md").write_text("A fox.")
    monkeypatch.setattr(user_texts, "paragraphs_of_markdown", fail)
    [error] = read_user_texts([tmp_path / "a.md"]).errors
    assert str(error).endswith("a.md cannot be read: AssertionError: unexpected.")


def test_the_amount_of_text_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, text in {"a": "fox" * 30, "b": "hen" * 30, "c": "cat"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "d.txt").write_text("d" * 200)
    monkeypatch.setattr(user_texts, "_MAX_CHARACTERS", 100)
    monkeypatch.setattr(user_texts, "_MAX_FILE_BYTES", 150)
    read = read_user_texts(find_user_texts(tmp_path, "en")[0])
    assert [text.path.stem for text in read.texts] == ["a", "c"]
    assert ["b.txt is too much" in str(e) or "d.txt is larger" in str(e) for e in read.errors] == [
        True,
        True,
    ]


def test_html_files_are_read_in_their_encoding(tmp_path: Path):
    path = tmp_path / "page.html"
    path.write_bytes(
        '<html><head><meta charset="iso-8859-1"><title>no</title></head><body><h1>Über</h1>'
        "<p>Füchse</p></body></html>".encode("latin-1")
    )
    assert read_user_text(path).text == "Über\n\nFüchse"


def test_old_mac_texts_are_unwrapped(tmp_path: Path):
    path = tmp_path / "mac.txt"
    line = "The fox went out on a chilly night and prayed for the moon"
    path.write_bytes(f"{line}\r{line}\r\r“Hen.”\r".encode("mac_roman"))
    assert read_user_text(path) == user_texts.UserText(
        path, f"{line} {line}\n\n“Hen.”", "read as Mac Roman"
    )


def test_the_shared_transcript_is_read_whole():
    path = ROOT.parent / "shared" / "cases" / "corpora" / "transcript-one-line.txt"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    assert len(read_user_text(path).text) == 123_739

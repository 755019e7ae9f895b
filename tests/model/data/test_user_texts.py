import re
import sys
import zipfile
from pathlib import Path

import pytest

from config.errors import InputError, MissingPackageError
from config.installation import add_extra_command
from model.data.user_texts import find_user_texts, read_user_text

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
    assert text == "Monday\n\nWe saw a fox, says she.\n\none\n\ntwo\n\n<b>raw</b>"


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

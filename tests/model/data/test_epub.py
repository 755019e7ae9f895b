import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from config.errors import InputError
from model.data.user_texts import UserText, read_user_text
from tests.support.program import ROOT

CASES = ROOT.parent / "shared" / "cases" / "epub"
CONTAINER = (
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/c.opf" media-type="application/oebps-package+xml"/>'
    "</rootfiles></container>"
)
PAGE = "<html><body><p>The {} ran over the hill.</p></body></html>"


def package(*hrefs: str, kind: str = "application/xhtml+xml", extra: str = "") -> str:
    items = "".join(
        f'<item id="i{n}" href="{href}" media-type="{kind}"/>' for n, href in enumerate(hrefs)
    )
    spine = "".join(f'<itemref idref="i{n}"/>' for n in range(len(hrefs)))
    return (
        f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}{extra}</manifest>'
        f"<spine>{spine}</spine></package>"
    )


def made(folder: Path, parts: Mapping[str, str | bytes], compression: int = 8) -> Path:
    path = folder / "book.epub"
    with zipfile.ZipFile(path, "w", compression) as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return path


def read(folder: Path, parts: Mapping[str, str | bytes]) -> UserText:
    """A book of these parts in OEBPS; a name that begins with a slash is in the root."""
    placed = {f"OEBPS/{n}" if n[0] != "/" else n[1:]: text for n, text in parts.items()}
    return read_user_text(made(folder, {"META-INF/container.xml": CONTAINER, **placed}))


def words(text: UserText) -> list[str]:
    return [line.split()[1] for line in text.text.split("\n\n")]


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("a.xhtml", "a.xhtml"),
        ("../Text/a.xhtml", "/Text/a.xhtml"),
        ("./x/../a.xhtml", "a.xhtml"),
        ("a.xhtml#start", "a.xhtml"),
        ("/OEBPS/a.xhtml", "a.xhtml"),
        ("two%20b.xhtml", "two b.xhtml"),
        ("two b.xhtml", "two%20b.xhtml"),
        ("100%25.xhtml", "100%.xhtml"),
        ("100%.xhtml", "100%.xhtml"),
        ("a%23b.xhtml", "a#b.xhtml"),
        ("Text/A.XHTML", "text/a.xhtml"),
        ("Text\\a.xhtml", "Text/a.xhtml"),
        ("Fu%CC%88chse.xhtml", "Füchse.xhtml"),
        ("狐狸.xhtml", "狐狸.xhtml"),
    ],
)
def test_parts_are_found_however_the_package_spells_them(href: str, name: str, tmp_path: Path):
    assert words(read(tmp_path, {"c.opf": package(href), name: PAGE.format("fox")})) == ["fox"]


@pytest.mark.parametrize(
    ("first", "second", "encoding"),
    [
        ("Hühner", "Füchse", "utf-8"),
        ("Hühner", "Füchse", "cp437"),
        ("Hühner", "Füchse", "latin-1"),
        ("第一章", "第二章", "gbk"),
    ],
)
def test_names_whose_encoding_the_archive_does_not_mark(
    first: str, second: str, encoding: str, tmp_path: Path
):
    raw = [name.encode(encoding) for name in (first, second)]
    held = [letter * len(name) for letter, name in zip("XY", raw, strict=True)]
    path = made(
        tmp_path,
        {"META-INF/container.xml": CONTAINER,
         "OEBPS/c.opf": package(f"{first}.xhtml", f"{second}.xhtml"),
         f"OEBPS/{held[0]}.xhtml": PAGE.format("fox"),
         f"OEBPS/{held[1]}.xhtml": PAGE.format("hen")},
    )  # fmt: skip
    data = path.read_bytes()
    for letters, name in zip(held, raw, strict=True):
        data = data.replace(letters.encode(), name)
    path.write_bytes(data)
    assert words(read_user_text(path)) == ["fox", "hen"]


def test_prefixes_and_other_encodings_of_the_package_are_read(tmp_path: Path):
    prefixed = package("a.xhtml").replace("<", "<opf:").replace("<opf:/", "</opf:")
    container = CONTAINER.replace("<", "<c:").replace("<c:/", "</c:").replace("xmlns=", "xmlns:c=")
    declared = f'<?xml version="1.0" encoding="utf-16"?>{prefixed}'
    for opf in (prefixed.encode(), declared.encode("utf-16"), declared.encode("utf-16-be")):
        parts = {"/META-INF/container.xml": container, "c.opf": opf, "a.xhtml": PAGE.format("fox")}
        assert words(read(tmp_path, parts)) == ["fox"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "gb2312", "big5"])
def test_pages_in_other_encodings_are_read(encoding: str, tmp_path: Path):
    fox = "Füchsin" if encoding == "iso-8859-1" else "狐狸"
    page = f'<?xml version="1.0" encoding="{encoding}"?>{PAGE.format(fox)}'.encode(encoding)
    assert words(read(tmp_path, {"c.opf": package("a.xhtml"), "a.xhtml": page})) == [fox]


def test_a_page_that_declares_a_wrong_encoding_is_read(tmp_path: Path):
    for declared in ("utf-16", "iso-8859-1", "gb2312", "none-such"):
        page = f'<?xml version="1.0" encoding="{declared}"?>{PAGE.format("Füchsin")}'.encode()
        assert words(read(tmp_path, {"c.opf": package("a.xhtml"), "a.xhtml": page})) == ["Füchsin"]


@pytest.mark.parametrize("kind", ["", "text/xml", "application/octet-stream", "text/html"])
def test_pages_of_vague_types_are_read(kind: str, tmp_path: Path):
    parts = {"c.opf": package("a.xhtml#x", kind=kind), "a.xhtml": PAGE.format("fox")}
    assert words(read(tmp_path, parts)) == ["fox"]


def test_missing_and_damaged_parts_are_left_out_and_told(tmp_path: Path):
    opf = package("cover.xhtml", "a.xhtml", "b.xhtml")
    pages = {"a.xhtml": PAGE.format("fox"), "b.xhtml": PAGE.format("hen") * 50}
    path = made(
        tmp_path,
        {"META-INF/container.xml": CONTAINER, "OEBPS/c.opf": opf,
         **{f"OEBPS/{name}": page for name, page in pages.items()}},
    )  # fmt: skip
    with zipfile.ZipFile(path) as book:
        begin = book.getinfo("OEBPS/b.xhtml").header_offset + 30 + len("OEBPS/b.xhtml")
    data = bytearray(path.read_bytes())
    data[begin : begin + 8] = b"\xff" * 8
    path.write_bytes(data)
    text = read_user_text(path)
    assert words(text) == ["fox"]
    assert text.note == "1 of 3 parts missing, 1 of 3 parts damaged"


def test_a_book_without_a_single_whole_part_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"book\.epub is no whole e-book \(EPUB\): .*chapters"):
        read(tmp_path, {"c.opf": package("a.xhtml")})


def test_pictures_in_the_spine_are_not_read_as_text(tmp_path: Path):
    extra = '<item id="p" href="p.jpg" media-type="image/jpeg" fallback="f"/>'
    extra += '<item id="f" href="f.xhtml" media-type="application/xhtml+xml"/>'
    extra += '<item id="v" href="v.svg" media-type="image/svg+xml" fallback="v"/>'
    opf = package("a.xhtml", extra=extra).replace(
        "</spine>", '<itemref idref="p"/><itemref idref="v"/><itemref idref="none"/></spine>'
    )
    parts = {
        "c.opf": opf, "a.xhtml": PAGE.format("fox"), "f.xhtml": PAGE.format("hen"),
        "p.jpg": b"\xff\xd8\xff\xe0" + b"JFIF" * 99, "v.svg": "<svg><text>no</text></svg>",
    }  # fmt: skip
    text = read(tmp_path, parts)
    assert (words(text), text.note) == (["fox", "hen"], "")


def test_contents_and_what_is_not_linear_is_left_out(tmp_path: Path):
    toc = "<p><a href='a.xhtml'>The toc ran over the hill.</a></p>" * 5
    opf = package("toc.xhtml", "nav.xhtml", "guide.xhtml", "a.xhtml", "notes.xhtml", "a.xhtml#b")
    opf = opf.replace('href="nav.xhtml"', 'href="nav.xhtml" properties="nav"')
    opf = opf.replace('idref="i4"', 'idref="i4" linear="no"')
    opf += '<guide><reference type="toc" href="guide.xhtml#x"/></guide>'
    parts = {"c.opf": opf, "a.xhtml": PAGE.format("fox"), "toc.xhtml": toc}
    parts |= {name: PAGE.format("no") for name in ("nav.xhtml", "guide.xhtml", "notes.xhtml")}
    assert words(read(tmp_path, parts)) == ["fox"]
    alone = package("a.xhtml").replace("<itemref", '<itemref linear="no"')
    assert words(read(tmp_path, {"c.opf": alone, "a.xhtml": PAGE.format("fox")})) == ["fox"]


@pytest.mark.parametrize("container", [CONTAINER, ""])
def test_without_a_package_the_pages_are_read_by_name(container: str, tmp_path: Path):
    parts = {"/META-INF/container.xml": container} if container else {}
    parts |= {f"c{n}.html": PAGE.format(n) for n in (10, 2, 1)}
    assert words(read(tmp_path, parts)) == ["1", "2", "10"]


def test_a_package_is_found_without_a_container(tmp_path: Path):
    parts = {"OEBPS/other.opf": package("b.xhtml", "a.xhtml")}
    parts |= {f"OEBPS/{name}.xhtml": PAGE.format(name) for name in "ab"}
    assert words(read_user_text(made(tmp_path, parts))) == ["b", "a"]


def test_encrypted_chapters_are_told(tmp_path: Path):
    locked = (
        '<enc:EncryptedData xmlns:enc="x"><enc:CipherData>'
        "<enc:CipherReference URI='OEBPS/two%20b.xhtml'/></enc:CipherData></enc:EncryptedData>"
    )
    parts = {"c.opf": package("two%20b.xhtml"), "two b.xhtml": b"\x93\x01\xfe" * 99}
    with pytest.raises(InputError, match=r"book\.epub is encrypted; only books without DRM"):
        read(tmp_path, {"/META-INF/encryption.xml": locked, **parts})


def test_a_zip_with_a_password_is_told(tmp_path: Path):
    path = made(
        tmp_path,
        {"META-INF/container.xml": CONTAINER, "OEBPS/c.opf": package("a.xhtml"),
         "OEBPS/a.xhtml": PAGE.format("fox")},
    )  # fmt: skip
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")  # the entry of the last part: set its flag "encrypted"
    struct.pack_into("<H", data, at + 8, 1)
    path.write_bytes(data)
    with pytest.raises(InputError, match="encrypted, password required"):
        read_user_text(path)


def test_a_zip_bomb_is_bounded(tmp_path: Path):
    bomb = b"<p>" + b"a" * 30_000_000
    text = read(
        tmp_path,
        {"c.opf": package("a.xhtml", "b.xhtml"), "a.xhtml": bomb, "b.xhtml": PAGE.format("fox")},
    )
    assert (words(text), text.note) == (["fox"], "1 of 2 parts damaged")


def test_the_licence_is_left_out_of_books_too(tmp_path: Path):
    page = (
        "<p>Licence</p><div>*** START OF THE PROJECT GUTENBERG EBOOK FOX ***</div>"
        "<p>The fox ran.</p><p>*** END OF THE PROJECT GUTENBERG EBOOK FOX ***</p><p>Licence</p>"
    )
    assert read(tmp_path, {"c.opf": package("a.xhtml"), "a.xhtml": page}).text == "The fox ran."


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("plain", ""),
        ("dotdot", ""),
        ("fragment", ""),
        ("opf-prefix", ""),
        ("missing-cover", "1 of 2 parts missing"),
    ],
)
def test_the_shared_books_are_read(name: str, note: str):
    path = CASES / f"{name}.epub"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    text = read_user_text(path)
    assert (len(text.text), text.note) == (8_773, note)


def test_the_shared_damaged_book_is_told():
    path = CASES / "bitflip.epub"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with pytest.raises(InputError, match=r"bitflip\.epub is no whole e-book"):
        read_user_text(path)

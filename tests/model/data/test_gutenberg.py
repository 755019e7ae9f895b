import pytest

from model.data.gutenberg import without_licence

TEXT = "A fox lived by the sea.\n\nHe was old."
HEAD = "The Project Gutenberg eBook of Fox\n\nThis ebook is for the use of anyone.\n"
TAIL = "Section 1. Terms of use of Project Gutenberg.\nThe Foundation."


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (
            "*** START OF THE PROJECT GUTENBERG EBOOK FOX ***",
            "*** END OF THE PROJECT GUTENBERG EBOOK FOX ***",
        ),
        (
            "*** START OF THIS PROJECT GUTENBERG EBOOK FOX ***",
            "*** END OF THIS PROJECT GUTENBERG EBOOK FOX ***",
        ),
        (
            "***START OF THE PROJECT GUTENBERG EBOOK FOX***",
            "***END OF THE PROJECT GUTENBERG EBOOK FOX***",
        ),
        (
            "*** START OF PROJECT GUTENBERG ETEXT FOX ***",
            "End of Project Gutenberg's Fox, by A. Hen",
        ),
        (
            "*** START OF THE PROJECT GUTENBERG EBOOK THE LIFE OF A VERY\nOLD FOX ***",
            "End of the Project Gutenberg EBook of Fox, by A. Hen",
        ),
        (
            "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
            "End of The Project Gutenberg Etext of Fox",
        ),
        (
            "*END THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*",
            "End of Project Gutenberg’s Fox\n*** END OF THIS PROJECT GUTENBERG EBOOK FOX ***",
        ),
        (
            "*** START OF THE PROJECT GUTENBERG EBOOK 紅樓夢 ***",
            "*** END OF THE PROJECT GUTENBERG EBOOK 紅樓夢 ***",
        ),
        (
            "*** START OF THE PROJECT GUTENBERG EBOOK FOX ***\n\nProduced by A. Hen\nand others\n",
            "",
        ),
        (
            "***  START OF THE PROJECT GUTENBERG EBOOK FOX  ***\n\nE-text prepared by A. Hen\n\n\n"
            "\nNote: Project Gutenberg also has an HTML version of this\n      file.\n",
            " ***  END OF THE PROJECT GUTENBERG EBOOK FOX  ***",
        ),
        ("", "*** END OF THE PROJECT GUTENBERG EBOOK FOX ***"),
    ],
)
def test_the_text_between_the_marks_is_kept(start: str, end: str):
    head = f"{HEAD}{start}\n\n" if start else ""
    tail = f"\n\n{end}\n\n{TAIL}" if end else ""
    assert without_licence(f"{head}{TEXT}{tail}").strip() == TEXT


def test_several_books_in_one_file_are_kept():
    book = f"{HEAD}*** START OF THE PROJECT GUTENBERG EBOOK A ***\n{{}}\n"
    book += f"*** END OF THE PROJECT GUTENBERG EBOOK A ***\n{TAIL}\n"
    kept = without_licence(book.format("The fox.") + book.format("The hen."))
    assert kept.split() == ["The", "fox.", "The", "hen."]


START, END = (f"*** {word} OF THE PROJECT GUTENBERG EBOOK FOX ***" for word in ("START", "END"))


@pytest.mark.parametrize(
    "odd",
    [
        TEXT,
        f"{END}\n{TEXT}\n{START}",
        f"{TEXT}\n{START}",
        f"{END}\n{TEXT}",
        f"{START}\n{END}\n{TEXT}",
        f"{TEXT}\n{START}\nThe end.",
        "The *** START OF THE PROJECT GUTENBERG EBOOK *** in a sentence.\n" + TEXT,
    ],
)
def test_odd_marks_drop_no_text(odd: str):
    kept = without_licence(odd)
    assert TEXT in kept
    assert START not in kept
    assert END not in kept


def test_what_is_too_long_for_a_licence_is_kept():
    novel = "The fox and the Project Gutenberg licence went out. " * 2_000
    assert novel.strip() in without_licence(f"{novel}\n{START}\n{TEXT}\n{END}\n{TAIL}")
    assert novel.strip() in without_licence(f"{TEXT}\n{END}\n{novel}")

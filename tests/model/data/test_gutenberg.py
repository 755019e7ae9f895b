import pytest

from model.data.gutenberg import without_licence

TEXT = "A fox lived by the sea.\n\nHe was old."
HEAD = "The Project Gutenberg eBook of Fox\n\nThis ebook is for the use of anyone.\n"
START, END = (f"*** {word} OF THE PROJECT GUTENBERG EBOOK FOX ***" for word in ("START", "END"))
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


NOTE = "Transcriber's Note"


@pytest.mark.parametrize(
    ("front", "back"),
    [
        ("Produced by A. Hen\nand others", ""),
        ("FOX\n\nTranscribed from the 1910 edition by A. Hen, email a@hen", ""),
        ("FOX\n\n[Project Gutenberg Editor's Note: there is another\nversion]\n\nBY A. HEN", ""),
        ("[Illustration: A fox\nby the sea]\n\n[Illustration]\n\nFOX", ""),
        (f"{NOTE}: Spelling is as it was.\n\nFOX", f"{NOTE}s:\n\nPage 2: hen.\n\nPage 3: fox."),
        ("TRANSCRIBER’S NOTES\n\nSpelling is as it was.\n\nFOX", f"[{NOTE}: Spelling\nkept.]"),
        ("FOX", "This file was produced from images of the Library of Hens."),
        ("HTML version by A. Hen.\n\nE-text prepared by A. Hen", "Cover by A. Hen"),
    ],
)
def test_what_the_makers_of_a_file_have_added_goes(front: str, back: str):
    story = "\n\n".join(f"The _old_ fox ran {n} miles, produced by nobody." for n in range(500))
    kept = without_licence(f"{HEAD}{START}\n\n{front}\n\n{story}\n\n{back}\n\n{END}\n{TAIL}")
    assert story.replace("_", "") in kept
    left = kept.replace(story.replace("_", ""), "").split()
    assert left in ([], ["FOX"], ["FOX", "BY", "A.", "HEN"])


def test_a_text_that_speaks_of_notes_and_producers_stays():
    text = "He _meant_ it.\n\nTranscriber's notes bored him.\n\n[Sings] a_b_c\n\nProduced by hand."
    filler = "\n\n".join("The hen sat on the wall and looked." for _ in range(900))
    kept = without_licence(f"{START}\n{filler}\n\n{text}\n\n{filler}\n{END}")
    assert text.replace("_meant_", "meant") in kept


def test_several_books_in_one_file_are_kept():
    book = f"{HEAD}*** START OF THE PROJECT GUTENBERG EBOOK A ***\n{{}}\n"
    book += f"*** END OF THE PROJECT GUTENBERG EBOOK A ***\n{TAIL}\n"
    kept = without_licence(book.format("The fox.") + book.format("The hen."))
    assert kept.split() == ["The", "fox.", "The", "hen."]


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

import pytest

from model.data.markdown import paragraphs_of_markdown
from tests.support.program import ROOT


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("---\ntitle: Diary\ntags: [a]\n---  \nA fox.", "A fox."),
        ("---\naliases:\n- one\n  - two\n\n# no\n...\nA fox.", "A fox."),
        ('+++\ntitle = "Diary"\n+++\nA fox.', "A fox."),
        ("---\n\nA fox went out.\n\n---\n\nA hen.", "A fox went out.\n\nA hen."),
        ("| Day | What |\n|-----|------|\n| Mon | rain |\n\nA fox.", "A fox."),
        ("[[My note|The note]], [[A]], [[B#part]], [[#c]].", "The note, A, B, c."),
        ("![[photo.png]]A ![fox](fox.png) ran.", "A ran."),
        ("A fox[^1] ran[^note].\n\n[^1]: It was old.", "A fox ran.\n\nIt was old."),
        ("A ![](data:image/png;base64,iVBO=) fox.\n\n[i]: <data:image/svg+xml,PH>", "A fox."),
        ("A #tag, #one/two. $5, C#, %%no%% #1.\n\n#diary #fox\n", "A tag, one/two. $5, C#, #1."),
        ("<details><summary>More</summary>\nText.\n</details>\n\nA<br>B", "More\n\nText.\n\nA\nB"),
        ("- [ ] buy milk\n- [x] feed cat", "buy milk\n\nfeed cat"),
        ("> [!note] Fox\n> It *ran* ==away== ~~home~~. ^block1", "Fox It ran away home."),
        ("    An indented line.\n\n\tAnother.", "An indented line.\n\nAnother."),
        ("```python\nx = 1\n```\n\n```poem\nTyger,\ntyger\n```", "Tyger,\ntyger"),
        ("<!-- no -->\n\nYes, 1 < 2.", "Yes, 1 < 2."),
        ("A <!-- no\n\nno --> fox.", "A fox."),
        ("A fox:\n| a | `b|c` |\n|--|--|\n| 1 | 2 |\nA hen.\n\n> | c | d |", "A fox:\n\nA hen."),
        ("+--+--+\n| a | b |\n+==+==+\n| 1 | 2 |\n+--+--+\n\nA fox.", "A fox."),
        ("A fox^[It was old.] ran.", "A fox ran."),
        ("1. [ ] one\n2. [-] two\n- [>] three", "one\n\ntwo\n\nthree"),
        ("> A fox.\n>> [!tip]+ Hen\n>> ran.", "A fox.\n\nHen ran."),
        ("A fox.\n\n$$\nx^2\n$$\n\n$$y$$ For $5.", "A fox.\n\nFor $5."),
        ("It cost $$.\n\nRich: $$.", "It cost $$.\n\nRich: $$."),
        ("---\ncreated at: 2020\nmy own title: Fox\n---\nA fox.", "A fox."),
        ("+++\n[extra]\na = 1\n+++\nA fox.", "A fox."),
    ],
)  # fmt: skip
def test_what_is_read_of_markdown(markdown: str, text: str):
    assert paragraphs_of_markdown(markdown) == text


def test_the_shared_note_is_read_without_marks():
    path = ROOT.parent / "shared" / "cases" / "markdown" / "table.md"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    text = paragraphs_of_markdown(path.read_text())
    assert "See the note and tag." in text
    for mark in ("title", "|", "[[", "photo", "%%", "<", "[^", "[ ]", "```"):
        assert mark not in text


@pytest.mark.timeout(60)
def test_a_large_picture_in_a_note_is_skipped():
    picture = "A" * 3_000_000
    text = (
        f"A fox.\n\n![](data:image/png;base64,{picture})\n\n[i]: <data:image/png;base64,{picture}>"
    )
    assert paragraphs_of_markdown(text) == "A fox."

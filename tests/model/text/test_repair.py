import pytest

from model.text.repair import open_quotation, repair


@pytest.mark.parametrize(
    ("before", "sentence", "repaired"),
    [
        ("", 'He ran home."', "He ran home."),
        ("", 'He said, "Yes!"', 'He said, "Yes!"'),
        ('He said, "One.', 'Two."', 'Two."'),
        ('He said, "One."', 'Two."', "Two."),
        ('he said "i am', 'happy," and smiled.', 'happy," and smiled.'),
        ("", 'Go. "', "Go."),
        ("", "“Yes,” he said.”", "“Yes,” he said."),
        ("", "他說：「好。」她笑。」", "他說：「好。」她笑。"),
        ("", "他走了。”", "他走了。"),
        ("", '他说:"好。"', '他说:"好。"'),
        ("", "It was *very* good.", "It was very good."),
        ("", "It was **very good** and _old_.", "It was very good and old."),
        ("", "He ran * and sat # there.", "He ran and sat there."),
        ("", "The old man's hat, 3*4 and a_b.", "The old man's hat, 3*4 and a_b."),
        ("", "It's 'fine', he said.", "It's 'fine', he said."),
    ],
)
def test_stray_marks_are_dropped(before: str, sentence: str, repaired: str) -> None:
    assert repair(sentence, before) == repaired


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("He ran.", ""),
        ('He said, "Yes!', '"'),
        ('He said, "Yes!"', ""),
        ("“Yes,” he said, “but", "”"),
        ("他說：「好。", "」"),
        ('"Hello," said the fox. "Who', '"'),
    ],
)
def test_an_open_quotation_is_known_by_the_mark_that_closes_it(text: str, mark: str) -> None:
    assert open_quotation(text) == mark

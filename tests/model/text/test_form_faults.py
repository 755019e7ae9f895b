import time

import pytest

from model.text.form_faults import Candidate, FormCheck

CHECK = FormCheck()

FAULTY = {
    "assistant": [
        "How can I help you today?",
        " As an AI language model, I have no feelings.",
        "Can you help me refine my opening paragraph?",
        "Sure! Here is a short story about a fox.",
        "Certainly, here's a revised version.",
        "Here is a short poem about the sea:",
        "I hope this helps!",
        "Let me know if you have any questions.",
        "I'm sorry, but I can't assist with that.",
        "Could you please provide more details?",
        "Dear [Your Name],",
        "User: what is that?",
        "作为一个人工智能，我没有感情。",
        "有什么可以帮您的吗？",
        "好的，以下是一个故事。",
    ],
    "list": [
        "\n1. Wash the apples.",
        " 2.",
        "The answer is: a) the fox.",
        "- a cup of flour\n",
        "* Milk\n",
        "Step 1: take a bowl.",
        "a) the fox",
        "一、春天来了。",
        "（1）洗苹果。",
    ],
    "heading": [
        "\n## The Fox\n",
        "Title: The Old Sailor\n",
        " are as follows:\n",
        "Chapter 3\n",
        "The Old Man and the Sea\n".replace("and the", "And The"),
        "**The Fox**\n",
        "---\nHe ran.",
        "标题：春天",
        "第三章 春天\n",
    ],
    "link": ["Read it at www.foxes.org today.", "See https://a.b now.", "It is on fox.com now."],
    "contact": [
        "Write to jane.doe@gmail.com soon.",
        "Call me at (555) 123-4567.",
        "Call 555-1234 now.",
        "Phone: 12",
        "我的手机13812345678。",
        "微信：abc12345。",
    ],
    "code": ["print(x)", "def f(x): return {x}", "<b>bold</b>", "x = 5", "```py\n", "if a == b:"],
    "markdown": ["Read [this](that) book.", "| a | b |", "as Smith says[1] he ran."],
    "loop": [
        "and the dog and the dog and the dog ran.",
        "No no no no no!",
        "He ran to the house by the river and saw the old man.",
        "She smiled at him again.",
        "好吧好吧好吧好吧。",
    ],
}  # fmt: skip
SEED = "a fox"
SAID = (
    "Then she smiled at him again. He ran to the house by the river and saw the old woman. "
    "She smiled at him again."
)


@pytest.mark.parametrize(
    ("kind", "raw"), [(kind, raw) for kind, raws in FAULTY.items() for raw in raws]
)
def test_faults_of_form_are_found(kind: str, raw: str) -> None:
    assert CHECK(Candidate(SEED, SAID, raw)) == kind


@pytest.mark.parametrize(
    "raw",
    [
        " who lived in a wood.",
        '"Can you help me?" asked the fox.',
        "“How are you?” said Mr. Fox - and he smiled.",
        "He was born in 1914-1918, or at 10 a.m., and had 3,000 coins and 2.5 apples.",
        "Dr. Owl came at 8.30, in 1999.",
        '"Here is a letter for you," said the bird.',
        "Row, row, row your boat.",
        "Run, run, run, as fast as you can!",
        "I am going home.",
        "a fox - and an owl.",
        "I. think, so. do. you.",
        '"Help!"',
        "Sure, he was happy.",
        "Of course the fox ran.",
        "What a day; it was lovely: all of it.",
        ":\n\nI am writing to you.",
        "He said: 1 fox is enough.",
        "一只狐狸在海边。",
        "床前明月光，疑是地上霜。",
        "三五成群的孩子。",
        "十年生死两茫茫。",
    ],
)
def test_ordinary_sentences_pass(raw: str) -> None:
    assert CHECK(Candidate(SEED, "He sang.", raw)) is None


@pytest.mark.parametrize(
    ("raw", "said", "last", "kind"),
    [
        (" Sincerely\n", "", False, "break"),
        (" Sam\n", "He ran.", False, "break"),
        (" blue", "", True, "break"),
        (" blue.", "", True, "break"),
        (" blue.", "", False, None),
        (" Blue!", "He ran.", True, None),
    ],
)
def test_a_break_after_one_word_is_found(raw: str, said: str, last: bool, kind: str) -> None:
    assert CHECK(Candidate(SEED, said, raw, last=last)) == kind


def test_a_clause_may_be_a_single_word_line() -> None:
    assert CHECK(Candidate(SEED, "", " Sam,\n", whole=False)) is None


def test_the_seed_is_not_said_again() -> None:
    seed = "He ran to the house by the river and saw the old woman."
    assert CHECK(Candidate(seed, "", f" {seed}")) == "loop"


@pytest.mark.parametrize("raw", ["", "\n", "...", "🦊", "\x00", "a" * 5000, "武" * 7])
def test_any_text_can_be_checked(raw: str) -> None:
    CHECK(Candidate("", "", raw))


def test_a_long_run_of_line_breaks_is_judged_at_once() -> None:
    begin = time.process_time()
    CHECK(Candidate("a", "", "\n" * 3000 + "Title: x"))
    assert time.process_time() - begin < 1

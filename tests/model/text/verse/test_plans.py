import pytest

from model.text.verse.plans import UNTITLED, Plan, Planner, lead
from model.text.verse.subjects import Subject, Subjects

FIRST, SECOND = "慈母不相见，春风满故园。", "灯前一樽酒，明月照柴门。"


def bits(text: str) -> float:
    return {"名字": 5.0, "老槐": 6.0}.get(text, 12.0)


PLANNER = Planner(Subjects(), bits)


def yes(_lead: str) -> bool:
    return True


def test_the_first_subject_is_named_and_the_others_have_their_turn():
    plan = PLANNER.begin("妈妈做了一个蛋糕", yes)
    assert (plan.lead, plan.poem) == ("题“妈妈”一首：", ())
    assert [subject.word for subject in plan.subjects] == ["妈妈", "蛋糕"]
    assert plan.images(()) == ("慈母",)
    assert set(plan.images([FIRST])) == set(plan.subjects[1].images)
    assert "慈母" not in plan.images([FIRST, SECOND])
    assert "寒衣" in plan.images([FIRST, SECOND])


def test_a_lead_that_may_not_be_said_gives_way_to_another():
    plan = PLANNER.begin("妈妈做了一个蛋糕", lambda lead: "妈妈" not in lead)
    assert plan.lead == lead("蛋糕")
    assert PLANNER.begin("妈妈", lambda _: False) == Plan(UNTITLED, ())


def test_of_unlisted_words_the_one_that_verse_knows_is_taken():
    assert PLANNER.begin("你叫什么名字", yes).subjects == (Subject("名字", ("名字",)),)
    plan = PLANNER.begin("怎么办", yes)
    assert (plan.lead, plan.images(())) == (UNTITLED, ())


@pytest.mark.parametrize("before", ["我想妈妈", "妈妈", ""])
def test_a_poem_goes_on_behind_its_lead(before: str):
    plan = PLANNER.go_on(f"{before}题“妈妈”一首：{FIRST}{SECOND}")
    assert plan is not None
    assert (plan.lead, plan.poem) == ("", (FIRST, SECOND))
    assert [subject.word for subject in plan.subjects] == ["妈妈"]


def test_the_newest_of_several_leads_counts():
    plan = PLANNER.go_on(f"题“妈妈”一首：{FIRST}无题一首：{SECOND}")
    assert plan == Plan("", (), (SECOND,))


def test_without_a_lead_no_poem_goes_on():
    assert PLANNER.go_on(FIRST + SECOND) is None
    assert PLANNER.go_on("今天天气很好") is None

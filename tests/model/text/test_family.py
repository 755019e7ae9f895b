from pathlib import Path

import pytest

from model.text.family import FamilyCheck
from model.text.form_faults import Candidate

FOLDER = Path(__file__).parent
CHECK = FamilyCheck()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_most_unfit_sentences_are_found(language: str) -> None:
    sentences = (FOLDER / f"unfit-{language}.txt").read_text("utf-8").splitlines()
    found = [sentence for sentence in sentences if CHECK.unfit("", sentence)]
    assert len(sentences) >= 50
    assert len(found) >= 0.9 * len(sentences)


@pytest.mark.parametrize(
    "sentence",
    [
        "The wolf ate the grandmother, and the hunter cut the wolf open.",
        "The cock crowed three times, and the ass brayed.",
        "Puss in Boots and Dick Whittington sat on a tit's nest.",
        "She fell, hurt herself and cried, but there was only a little blood.",
        "The knight killed the dragon with his sword.",
        "He pricked his finger on the needle and it bled.",
        "Tom filled his water gun, and his toy gun, too.",
        "She put the bath bombs beside the bullet points.",
        "The emperor was naked!",
        "They lit a fire with a bundle of wood and killed time.",
        "Both sexes may swim here.",
        "The sexton rang the bell at sixteen to six.",
        "Scunthorpe and Essex are in England; the class had a snigger.",
        "The raccoon, the spices, the cockpit and the peacock.",
        "He shot an arrow at the target and she shot up the stairs.",
        "I want to dye my hair, and you want to live by the sea.",
        "Grandma shook her head and we all died laughing.",
        "My passage to Sussex was analysed; assume nothing.",
        "He could not bear the heat in class.",
        "妈妈的手很温暖。",
        "我家住在十字路口交通灯旁边。",
        "他今天去看体操比赛。",
        "水乳交融的友情。",
        "山阴道上应接不暇。",
        "神色情绪都很平静。",
        "汉家将赐霍嫖姚。",
        "春风愁杀人。",
        "小鸡鸡妈妈带着小鸡去散步。",
        "姑娘的裙子是红色的。",
        "她个性爱好自由。",
        "他用水枪喷我。",
        "祝你全家快乐。",
        "面包皮很脆。",
        "贫贱人事略，经过霖潦妨。",
        "Several people drank tea, and the little boy touched her hand.",
        "火车来了，他自己上了车。",
        "Beat the eggs until stiff, then fold in the sugar.",
        "Food passes from the stomach into the small intestine.",
        "Blood flows from the heart through the arteries.",
        "Sexual reproduction mixes the genes of two parents.",
        "The mosquito drinks blood before it lays its eggs.",
        "Maggots turn into flies.",
        "The women control the household money, and are too smart to lose it.",
        "The soldiers were killed in the battle.",
        "He took all of the tablets the doctor gave him.",
        "The hunter cut open the wolf's belly and out jumped the girl.",
        "The knight cut off the dragon's head.",
        "The boy unbuttoned his shirt and put his hand inside his shirt.",
        "I want to die laughing.",
        "I tried to cut the cake by myself.",
        "The boy shot the man a look.",
        "She lifted up her skirt and waded through the stream.",
        "The swing hung on a rope from the beam.",
        "The boy cried, and blood ran down from his knee.",
        "He cleared his throat and tore the letter open.",
        "The paper was torn, and the flesh of the peach was white.",
        "把鱼的内脏去掉，洗干净。",
        "他不小心切到了手指，流了一点血。",
        "爸爸举起斧头劈柴。",
        "妈妈拿起菜刀砍排骨。",
        "血从心脏流出来，再流回心脏。",
        "秃鹫吃动物的尸体。",
        "打死我也不说。",
        "孩子从楼梯上跳下来。",
        "他把绳子套在马脖子上牵走了。",
        "妈妈打开煤气做饭。",
        "爸爸跟我去死海旅行。",
        "他打开房门走了出去。",
        "公司给员工包养老保险。",
        "爷爷去年离开人世了。",
        "厨师持刀切菜又快又好。",
        "警察抓住了凶手。",
        "石头砸碎了玻璃，瓶子被砸得粉碎。",
        "农民挖了眼井，挖出了心里的话。",
    ],
)
def test_harmless_sentences_pass(sentence: str) -> None:
    assert CHECK.unfit("", sentence) is None


@pytest.mark.parametrize(
    ("before", "sentence", "kind"),
    [
        ("i am going to kill", "myself tonight.", "self-harm"),
        ("She took a knife and cut", "her wrists.", "self-harm"),
        ("i would like a piece of", "shit on my plate.", "profanity"),
        ("the man wanted a blow", "job from her.", "coarse"),
        ("他想自", "杀，没有人知道。", "self-harm"),
    ],
)
def test_a_phrase_may_begin_before_the_sentence(before: str, sentence: str, kind: str) -> None:
    assert CHECK.unfit("", before) is None
    assert CHECK.unfit(before, sentence) == kind


def test_the_users_own_words_do_not_count() -> None:
    seed = "he shot the teacher with a gun and killed himself"
    assert CHECK.unfit("", seed)
    assert CHECK.unfit(seed, "and the village wept for a long time.") is None
    assert CHECK.unfit("他想自杀", "，后来他的朋友来了。") is None
    assert CHECK(Candidate(seed, "", " and the village wept.")) is None
    assert CHECK(Candidate(seed, "He lay there.", " It was a suicide.")) == "self-harm"


def test_a_phrase_does_not_span_two_sentences() -> None:
    assert CHECK.unfit("The knight wanted to kill.", "Himself he did not love.") is None


@pytest.mark.parametrize(
    "sentence",
    [
        "You fuuuuck!",
        "You fück!",
        "You FUCKING liar.",
        "You f.u.c.k.",
        "You sh1t.",
        "You a$$hole.",
        "You f**k.",
        "Two bitches.",
        "Absofuckinglutely.",
        "She’s a slut’s friend.",
    ],
)
def test_inflections_and_disguises_are_seen_through(sentence: str) -> None:
    assert CHECK.unfit("", sentence)


@pytest.mark.parametrize(
    "sentence", ["他想自殺。", "他 自 杀 了。", "鮮血四濺。", "開槍了！他開了一槍。"]
)
def test_traditional_characters_and_blanks_are_seen_through(sentence: str) -> None:
    assert CHECK.unfit("", sentence)


@pytest.mark.parametrize("text", ["", " ", "...", "🦊", "\x00", "a" * 5000, "武" * 500])
def test_any_text_can_be_checked(text: str) -> None:
    assert CHECK.unfit(text, text) is None

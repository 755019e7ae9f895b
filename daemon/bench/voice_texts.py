"""Texts that the voices are measured with: `python -m daemon.bench voices`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Texts:
    """The texts of one language.

    Attributes:
        sentences: a recogniser hears them; they are counted in words, or in characters.
        short: 8 words, or a couplet of 10 characters, each.
        long: a sentence of 25 words, or a quatrain of 28 characters, each.
    """

    sentences: tuple[str, ...]
    short: tuple[str, ...]
    long: tuple[str, ...]


# Continuations that the shipped weights drew for 25 seeds, every fifth sentence, however odd. All
# words are in the vocabulary of the small Vosk model: no voice is blamed for a name.
_ENGLISH = Texts(
    sentences=(
        "He looked around and noticed a big, juicy apple.",
        "One day, he decided to try something new - to find a way to make his own fun!",
        "The old man was so happy that he wanted to stay there forever.",
        "He liked to make shapes in the water and throw them into the river.",
        "The other children asked him if he wanted to join them and she said yes!",
        "One of the children had an idea.",
        "It was very pretty and they had lots of fun together.",
        "Then they got out of the house and ran around the garden.",
        "The girl felt sorry for the girl and wanted to help her find her dog.",
        'He said, "Little bird, I will help you find your mom."',
        "He wanted to eat it all by himself.",
        'The old sailor asked a small bird, "Can you help me?"',
        "He had to stay inside the house and do his homework.",
        "He was so excited that he decided to pick some of them.",
        "He landed on a branch and began to eat the berries.",
        "He got all the ingredients he needed and started mixing them in a bowl.",
        "One day, a man decided to climb the tower and explore it.",
        "The tower was very tall and it was very beautiful.",
        "He asked his servants to help him.",
        "He looked everywhere for his crown, but he could not find it.",
        "Mommy bought the sour candy and they went home.",
        "When they arrived, she asked him if he wanted to pick something special for dinner.",
        "But then, the boat got more and more tired.",
        "The little boat was scared because it thought it might be lost forever.",
        "The two friends were very happy.",
        "After a while, they found a small box hidden under some leaves.",
        "They decided to build a snowman so they could go outside in the winter.",
        "He climbed higher and higher until he got to the top.",
        "There was a big hole in the tree.",
        "She kept making the noise until it was gone.",
        "Then, a big, scary monster came out of nowhere.",
        "The girl took the bird home.",
        "It pushed and pulled on the leaves until it made a small nest for the bird's hurt wing.",
        "Suddenly, the train stopped and the little boy got scared.",
        "The driver opened the door of the train and saw a lot of smoke coming from inside.",
        "Everyone looked around and tried to find the answer.",
        "The farmer was happy and smiled.",
        "He asked the horse if it had seen it.",
        "The little girl laughed and splashed around in the water.",
        "The moon was out for a walk with Mommy.",
    ),
    short=(
        "Inside the house, there was a nice lady.",
        "She had a big plate of yummy food.",
        "Suddenly, he heard a voice from below him.",
        "Dad took out the presents from the shelf.",
        "She felt the cool water on her skin.",
    ),
    long=(
        "The old sailor looked at the sea for a long time, and then he told the children about "
        "the storm that had taken his boat.",
        "When the rain stopped at last, the little girl opened the door of the house and saw that "
        "the whole garden was full of birds.",
        "The bear wanted to eat all the berries by himself, but he was too slow, and the fox had "
        "already told everyone in the forest.",
        "Every morning the farmer took his brown horse for a ride around the hill, and every "
        "evening he gave it an apple from his garden.",
        "The people of the village heard a loud noise and all left their houses, because the "
        "old tower on the hill had started to shake.",
    ),
)

# Poems of the Tang dynasty, a couplet a line, and plain sentences.
_CHINESE = Texts(
    sentences=(
        "床前明月光，疑是地上霜。",
        "举头望明月，低头思故乡。",
        "春眠不觉晓，处处闻啼鸟。",
        "夜来风雨声，花落知多少。",
        "白日依山尽，黄河入海流。",
        "欲穷千里目，更上一层楼。",
        "锄禾日当午，汗滴禾下土。",
        "谁知盘中餐，粒粒皆辛苦。",
        "从前有一只小狐狸，住在森林里。",
        "今天早上下了一场大雨。",
        "老人慢慢地走到河边，看见水里有很多鱼。",
        "孩子们在公园里玩到天黑才回家。",
        "妈妈做了一顿好吃的晚饭。",
        "他打开窗户，听见外面有人在唱歌。",
        "我们明天坐火车去北京看朋友。",
        "外面的雪下得很大，路上没有人。",
        "她把书放在桌子上，然后去睡觉了。",
        "爸爸每天早上很早就起床去跑步。",
        "医生说他的病很快就会好的。",
        "弟弟在花园里发现了一只受伤的小鸟。",
        "晚上我们一起坐在院子里看星星。",
        "那座山很高，爬到山顶要走很长时间。",
        "请你把门关上，外面太冷了。",
        "奶奶给我讲了一个很久以前的故事。",
        "火车开得很快，窗外的风景非常美丽。",
    ),
    short=(
        "千山鸟飞绝，万径人踪灭。",
        "松下问童子，言师采药去。",
        "空山不见人，但闻人语响。",
        "红豆生南国，春来发几枝。",
        "移舟泊烟渚，日暮客愁新。",
    ),
    long=(
        "日照香炉生紫烟，遥看瀑布挂前川。飞流直下三千尺，疑是银河落九天。",
        "月落乌啼霜满天，江枫渔火对愁眠。姑苏城外寒山寺，夜半钟声到客船。",
        "朝辞白帝彩云间，千里江陵一日还。两岸猿声啼不住，轻舟已过万重山。",
        "独在异乡为异客，每逢佳节倍思亲。遥知兄弟登高处，遍插茱萸少一人。",
        "渭城朝雨浥轻尘，客舍青青柳色新。劝君更尽一杯酒，西出阳关无故人。",
    ),
)

TEXTS: Mapping[str, Texts] = MappingProxyType({"en": _ENGLISH, "zh": _CHINESE})

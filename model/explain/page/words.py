"""What the page says, in English and in Chinese.

Names in braces are filled in by model.explain.page.steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Words:
    """The texts of the page in one language.

    Attributes:
        code: of the language, for the attribute `lang`.
        steps: title and explanation of each of the ten steps.
        filters: what remains after each mask and filter, by the keys of `Step.left`.
        reasons: their names in a few letters, where they differ from these keys.
    """

    code: str
    title: str
    introduction: str
    answer: str
    contents: str
    place: str
    previous: str
    next: str
    heading: str
    steps: tuple[tuple[str, str], ...]
    opening: str
    partial: str
    kept_ids: str
    own_pieces: str
    all_read: str
    cropped: str
    not_shown: str
    first_block: str
    last_position: str
    shapes: str
    gathers: str
    penalty: str
    greedy_division: str
    greedy_draw: str
    draw: str
    sampler: str
    filters: Mapping[str, str]
    reasons: Mapping[str, str]
    out_by: str
    certain: str
    bytes_pending: str
    bytes_complete: str
    text_ended: str
    sentence_complete: str
    sentence_open: str
    again: str
    last_shown: str
    position: str
    text: str
    bytes: str
    id: str
    guess: str
    logit: str
    penalised: str
    chance: str
    cumulative: str
    filter: str
    remaining: str
    part: str
    shape: str
    block: str
    random_number: str


ENGLISH = Words(
    code="en",
    title="How “{seed}” goes on",
    introduction=(
        "Ten steps lead from a text to its next token; all numbers are those of one real run. "
        "Go through them with the buttons below or the arrow keys."
    ),
    answer=(
        "“{asked}” is prose, which these weights of verse cannot continue. A poem answers it; one "
        "begins with “{seed}”."
    ),
    contents="All steps",
    place="Token {token} of {tokens}, step {step} of 10",
    previous="Previous",
    next="Next",
    heading="Token {number}: {text}",
    steps=(
        (
            "Text becomes ids",
            "tiktoken's cl100k_base cuts a text into pieces and numbers them. {vocabulary} "
            "<|endoftext|> begins every text.",
        ),
        ("Crop to the context", "The model reads at most {context} ids, the newest. {crop}"),
        (
            "Embeddings",
            "Each id chooses a row of a table of {size} × {width} numbers. All rows together have "
            "the shape [1, {read}, {width}]. The first numbers of each:",
        ),
        (
            "Transformer blocks",
            "{layers} blocks change these numbers one after another; the shape stays. In each, "
            "attention lets every position gather from itself and those before it, with {heads} "
            "heads at once; then a small network (MLP) works on each position by itself.",
        ),
        (
            "Logits [1, {read}, {rows}]",
            "The head compares the result at each position with the embedding of every id. That "
            "gives {size} numbers for each position, the logits: the larger, the likelier the id "
            "comes next. The best guess at each position:",
        ),
        (
            "The last position",
            "What follows the earlier positions is known. Only the guess after the last one is "
            "used, logits[:, -1] of the shape [1, {rows}]. Its largest logits z:",
        ),
        (
            "Divide by the temperature",
            "{penalty}Each logit is divided by the temperature {temperature}. Below 1, distances "
            "grow and the likeliest ids win more often; above 1, they shrink.",
        ),
        (
            "Softmax and filters",
            "softmax turns logits into probabilities: powers of e, divided by their sum. Masks and "
            "filters leave a part of the ids, and the chances of these are made to sum to 1.",
        ),
        (
            "Draw one id",
            "The chances are laid side by side from 0 to 1. A random number falls into one of "
            "them, the more likely the wider it is (a draw from the multinomial distribution).",
        ),
        ("Decode, print, speak", "The id {id} stands for the bytes {bytes}. {decoded}"),
    ),
    opening="These weights read “{opening}” before the seed.",
    partial=(
        "Some ids here are only a part of a character: their bytes are written as \\xe6 and the "
        "like, and several ids together make the character."
    ),
    kept_ids="The model keeps {size} of its 100,257 ids and numbers them anew.",
    own_pieces=(
        "The ids of this model are the {size} pieces of its own tokenizer, each spelt by one id of "
        "cl100k_base or by several."
    ),
    all_read="There are {tokens}, so all are read: T = {read}.",
    cropped="There are {tokens}, so the oldest {cropped} are left out: T = {read}.",
    not_shown="Not shown: the {count} oldest.",
    first_block="How much each position (row) gathers from each (column) in block 1, in percent",
    last_position="What the last position gathers from, in each block (row), in percent",
    shapes="The shapes inside",
    gathers="Mean of {heads} heads; the {shown} newest positions.",
    penalty="Ids drawn before are first made less likely (repetition penalty {penalty}). ",
    greedy_division=(
        "{penalty}The temperature is 0, and nothing is divided by it: the likeliest id that is "
        "left will be taken (greedy decoding)."
    ),
    greedy_draw="At temperature 0 no random number is drawn: “{token}” is certain.",
    draw=(
        "With the random seed {seed}, random number {which} is {number}. It falls between {begin} "
        "and {end}, the share of “{token}”."
    ),
    sampler=(
        "weights {weights}; temperature {temperature}, top-k {top_k}, top-p {top_p}, min-p {min_p}"
    ),
    filters=MappingProxyType(
        {
            "vocabulary": "all ids",
            "whole characters": "bytes that can make a character",
            "new word": "what does not go on with the seed's last word",
            "manner": "what these weights may say here",
            "top-k": "top-k: the {top_k} likeliest",
            "top-p": "top-p: the fewest that sum to {top_p}",
            "min-p": "min-p: at least {min_p} of the likeliest one's probability",
            "temperature 0": "temperature 0: the likeliest",
        }
    ),
    reasons=MappingProxyType({}),
    out_by="out by {name}",
    certain="certain",
    bytes_pending="They complete no character yet; the next ids will.",
    bytes_complete="As text that is “{text}”.",
    text_ended="It ends the text.",
    sentence_complete="A sentence is complete: it goes to the voice, which speaks it.",
    sentence_open="No sentence ends here: the text is printed, and the voice waits for its end.",
    again="Now all begins anew, with one id more.",
    last_shown="Here the page ends; the reply goes on in the same way.",
    position="position",
    text="text",
    bytes="bytes",
    id="id",
    guess="guess",
    logit="logit z",
    penalised="penalised",
    chance="chance",
    cumulative="from – to",
    filter="mask or filter",
    remaining="ids that remain",
    part="part",
    shape="shape",
    block="block",
    random_number="The random number among the cumulative chances; grey: the other ids",
)

CHINESE = Words(
    code="zh-CN",
    title="“{seed}”怎样续下去",
    introduction=(
        "从一段文字到下一个词元共十步，所有数字都来自一次真实的运行。用下面的按钮或方向键翻看。"
    ),
    answer=(
        "“{asked}”是白话，这些只会写诗的权重接不下去，所以用一首诗来回答；其中一首以“{seed}”开头。"
    ),
    contents="全部步骤",
    place="第 {token} 个词元（共 {tokens} 个），第 {step} 步（共 10 步）",
    previous="上一步",
    next="下一步",
    heading="第 {number} 个词元：{text}",
    steps=(
        (
            "文字变成编号",
            "tiktoken 的 cl100k_base 把文字切成小段，每段一个编号。{vocabulary}每段文字都以 "
            "<|endoftext|> 开头。",
        ),
        ("截取上下文", "模型最多读 {context} 个编号，取最新的。{crop}"),
        (
            "嵌入",
            "每个编号从一张 {size} × {width} 的数表里取出一行，合起来的形状是 "
            "[1, {read}, {width}]。每行的前几个数：",
        ),
        (
            "Transformer 块",
            "{layers} 个块依次改变这些数，形状不变。在每个块里，注意力让每个位置从自己和前面的位置"
            "汇集信息，{heads} 个头同时进行；然后一个小网络（MLP）单独处理每个位置。",
        ),
        (
            "Logits [1, {read}, {rows}]",
            "输出层把每个位置的结果与每个编号的嵌入相比，每个位置得到 {size} 个数，即 logits："
            "数越大，这个编号越可能是下一个。每个位置最看好的编号：",
        ),
        (
            "最后一个位置",
            "前面各位置之后是什么已经知道，只用最后一个位置的预测：logits[:, -1]，形状 "
            "[1, {rows}]。其中最大的 logits z：",
        ),
        (
            "除以温度",
            "{penalty}每个 logit 除以温度 {temperature}。温度低于 1，差距变大，最可能的编号"
            "更常被抽中；高于 1，差距变小。",
        ),
        (
            "Softmax 与筛选",
            "softmax 把 logits 变成概率：取 e 的幂，再除以总和。掩码和筛选只留下一部分编号，"
            "它们的机会重新归一，总和为 1。",
        ),
        (
            "抽取一个编号",
            "把各个机会从 0 到 1 并排放好，一个随机数落进其中一段；段越宽，越可能被抽中"
            "（多项分布抽样）。",
        ),
        ("解码、打印、朗读", "编号 {id} 代表字节 {bytes}。{decoded}"),
    ),
    opening="这些权重在种子前面先读“{opening}”。",
    partial="这里有的编号只是一个字的一部分：字节写成 \\xe6 的样子，几个编号合起来才是一个字。",
    kept_ids="模型保留 100,257 个编号中的 {size} 个，并重新编号。",
    own_pieces=(
        "这个模型的编号是它自己分词器的 {size} 个小段，每段由一个或几个 cl100k_base 编号拼成。"
    ),
    all_read="现在有 {tokens} 个，全部读入：T = {read}。",
    cropped="现在有 {tokens} 个，最旧的 {cropped} 个不读：T = {read}。",
    not_shown="最早的 {count} 个没有列出。",
    first_block="第 1 块里每个位置（行）从各位置（列）汇集多少，百分比",
    last_position="每个块（行）里最后一个位置从各位置（列）汇集多少，百分比",
    shapes="内部的形状",
    gathers="{heads} 个头的平均；只画最新的 {shown} 个位置。",
    penalty="先把已经抽过的编号压低（重复惩罚 {penalty}）。",
    greedy_division="{penalty}温度是 0，不做除法：直接取剩下的编号里最可能的一个（贪心解码）。",
    greedy_draw="温度为 0 时不抽随机数：“{token}”是确定的。",
    draw=(
        "随机种子为 {seed} 时，第 {which} 个随机数是 {number}，落在 {begin} 和 {end} 之间，"
        "即“{token}”那一段。"
    ),
    sampler="权重 {weights}；温度 {temperature}，top-k {top_k}，top-p {top_p}，min-p {min_p}",
    filters=MappingProxyType(
        {
            "vocabulary": "全部编号",
            "whole characters": "能拼成字符的字节",
            "new word": "不接在种子最后一个词后面的",
            "manner": "这些权重此处可以说的",
            "top-k": "top-k：最可能的 {top_k} 个",
            "top-p": "top-p：概率之和达到 {top_p} 的最少几个",
            "min-p": "min-p：概率至少为最大者的 {min_p}",
            "temperature 0": "温度 0：最可能的一个",
        }
    ),
    reasons=MappingProxyType(
        {
            "whole characters": "不成字",
            "new word": "粘连",
            "manner": "不说的",
            "temperature 0": "温度 0",
        }
    ),
    out_by="出局：{name}",
    certain="确定",
    bytes_pending="它们还拼不成一个字，要等后面的编号。",
    bytes_complete="作为文字是“{text}”。",
    text_ended="它结束这段文字。",
    sentence_complete="一句完整了：交给语音朗读。",
    sentence_open="句子还没完：先打印文字，语音等到句末。",
    again="现在多了一个编号，一切重新开始。",
    last_shown="这一页到此为止，续写照样进行下去。",
    position="位置",
    text="文字",
    bytes="字节",
    id="编号",
    guess="预测",
    logit="logit z",
    penalised="惩罚后",
    chance="机会",
    cumulative="从 – 到",
    filter="掩码或筛选",
    remaining="剩下的编号",
    part="部分",
    shape="形状",
    block="块",
    random_number="随机数落在累积机会的哪一段；灰色：其余编号",
)


def words_of(language: str) -> Words:
    """The words in a language; in English where there are none."""
    return CHINESE if language == "zh" else ENGLISH

"""Numbers in Chinese text, written out as they are read."""

import pytest

from audio.tts.chinese import spoken_form


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("2024年11月5日", "二零二四年十一月五日"),
        ("2024-11-05", "二零二四年十一月五日"),
        ("20年前", "二十年前"),
        ("2000年", "二零零零年"),
        ("下午3:05开会", "下午三点零五分开会"),
        ("12:00", "十二点整"),
        ("2:30", "两点三十分"),
        ("增长12.5%", "增长百分之十二点五"),
        ("￥1,250", "一千二百五十元"),
        ("$3.50", "三点五零美元"),
        ("€3万", "三万欧元"),
        ("25℃", "二十五摄氏度"),
        ("-5°C", "负五摄氏度"),
        ("气温-5℃", "气温负五摄氏度"),
        ("比分3:2", "比分三比二"),
        ("1/3", "三分之一"),
        ("5-8个人", "五到八个人"),
        ("2km", "两公里"),
        ("10", "十"),
        ("105", "一百零五"),
        ("110", "一百一十"),
        ("1010", "一千零一十"),
        ("10005", "一万零五"),
        ("100000", "十万"),
        ("12345678", "一千二百三十四万五千六百七十八"),
        ("100000001", "一亿零一"),
        ("0.5", "零点五"),
        ("0", "零"),
        ("007", "零零七"),
        ("电话13812345678", "电话一三八一二三四五六七八"),
        ("010-12345678", "零一零一二三四五六七八"),
        ("12345678901234567890", "一二三四五六七八九零一二三四五六七八九零"),
        ("2个人", "两个人"),
        ("12个", "十二个"),
        ("第2天", "第二天"),
        ("8×7=56", "八乘七等于五十六"),
        ("爸爸&妈妈", "爸爸和妈妈"),
    ],
)
def test_numbers_are_read_as_chinese(written: str, spoken: str) -> None:
    assert spoken_form(written) == spoken


@pytest.mark.parametrize("text", ["床前明月光，疑是地上霜。", "GPT-4", "iPhone15很好", "A4纸", ""])
def test_other_text_stays(text: str) -> None:
    assert spoken_form(text) == text


def test_a_long_text_of_digits_takes_little_time() -> None:
    assert spoken_form("1" * 1000) == "一" * 1000
    spoken_form("1-" * 500)
    spoken_form("1,000," * 160)

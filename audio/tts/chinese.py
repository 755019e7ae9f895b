"""The spoken form of Chinese text: numbers, dates, times, money and units in characters."""

import re
from collections.abc import Callable

Match = re.Match[str]

_DIGITS = "零一二三四五六七八九"
_MOST_DIGITS = 12  # of a number that is read as one; a longer one is read digit by digit
# Words that are counted by 两 rather than 二.
_MEASURES = (
    "个只本天年位次种条张件家岁点块层匹头座棵朵把杯碗间辆艘架颗粒篇首封双对支枝根句声步周倍人"
    "万千亿元"
)
_UNIT_WORDS = """
km公里 ㎞公里 m米 cm厘米 mm毫米 nm纳米 kg公斤 ㎏公斤 g克 mg毫克 t吨 L升 ml毫升 mL毫升
km²平方公里 m²平方米 ㎡平方米 m³立方米 km/h公里每小时 m/s米每秒 kW千瓦 W瓦 kWh度
Hz赫兹 kHz千赫 MHz兆赫 GHz吉赫 KB千字节 MB兆字节 GB吉字节 TB太字节
℃摄氏度 °C摄氏度 ℉华氏度 °F华氏度 °度
"""
_UNITS = dict(re.findall(r"([^\s\u4e00-\u9fff]+)(\S+)", _UNIT_WORDS))
_CURRENCIES = {"¥": "元", "￥": "元", "$": "美元", "＄": "美元", "€": "欧元", "£": "英镑"}
_NUMBER = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_APART = r"(?<![\w.,:/-])"  # before a number that is no part of something longer


def spoken_form(text: str) -> str:
    """Chinese text with its numbers in characters; Latin words stay as they are."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def read_number(digits: str) -> str:
    """A number such as "1,250.5" or "105" in characters."""
    whole, point, fraction = digits.replace(",", "").partition(".")
    if len(whole) > _MOST_DIGITS or (whole.startswith("0") and len(whole) > 1):
        return read_digits(digits)
    return _read_integer(int(whole or "0")) + (f"点{read_digits(fraction)}" if point else "")


def read_digits(digits: str) -> str:
    """Each digit for itself; marks between them are left out."""
    return "".join(_DIGITS[int(digit)] for digit in digits if digit.isdecimal())


def _read_integer(value: int) -> str:
    for size, name in ((10**8, "亿"), (10**4, "万")):
        if value >= size:
            high, low = divmod(value, size)
            gap = "零" if low and low < size // 10 else ""
            return f"{_read_integer(high)}{name}{gap}{_read_integer(low) if low else ''}"
    spoken, is_gap = "", False
    for size, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, value = divmod(value, size)
        if digit:
            spoken += ("零" if is_gap and spoken else "") + _DIGITS[digit] + name
        is_gap = not digit
    return spoken.removeprefix("一") if spoken.startswith("一十") else spoken or "零"


def _date(match: Match) -> str:
    year, month, day = match.groups()
    return f"{read_digits(year)}年{read_number(str(int(month)))}月{read_number(str(int(day)))}日"


def _time(match: Match) -> str:
    hour, minute, second = match[1], match[2], match[3]
    spoken = f"{_counted(str(int(hour)))}点"
    if int(minute):
        spoken += f"{'零' if minute.startswith('0') else ''}{_read_integer(int(minute))}分"
    elif not second:
        spoken += "整"
    return spoken + (f"{_read_integer(int(second))}秒" if second else "")


def _counted(digits: str) -> str:
    """A number before a measure word: 2 is 两."""
    return "两" if digits == "2" else read_number(digits)


def _share(name: str) -> Callable[[Match], str]:
    return lambda match: f"{name}分之{read_number(match[1])}"


def _money(match: Match) -> str:
    return f"{read_number(match[2])}{match[3] or ''}{_CURRENCIES[match[1]]}"


def _unit(match: Match) -> str:
    return f"{_counted(match[1])}{_UNITS[match[2]]}"


def _fraction(match: Match) -> str:
    return f"{read_number(match[2])}分之{read_number(match[1])}"


_UNIT_NAMES = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_RULES: tuple[tuple[re.Pattern[str], str | Callable[[Match], str]], ...] = (
    (re.compile(r"(?<!\d)(?:1\d{10}|0\d{2,3}-\d{7,8})(?!\d)"), lambda one: read_digits(one[0])),
    (re.compile(r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)"), _date),
    (re.compile(r"(?<![\d:])([01]?\d|2[0-4])[:：]([0-5]\d)(?:[:：]([0-5]\d))?(?![\d:])"), _time),
    (re.compile(r"(?<!\d)((?:1[5-9]|20)\d\d)(?=年)"), lambda match: read_digits(match[1])),
    (re.compile(r"(?<=\d)\s?[:：]\s?(?=\d)"), "比"),
    (re.compile(r"(?<![A-Za-z\d)）])[-−](?=\d)"), "负"),
    (re.compile(rf"([{''.join(_CURRENCIES)}])\s?({_NUMBER})([万亿])?"), _money),
    (re.compile(rf"({_NUMBER})\s?%"), _share("百")),
    (re.compile(rf"({_NUMBER})\s?‰"), _share("千")),
    (re.compile(rf"({_NUMBER})\s?({_UNIT_NAMES})(?![A-Za-z])"), _unit),
    (re.compile(rf"{_APART}(\d+)/(\d+)(?![\w/])"), _fraction),
    (re.compile(r"(?<=\d)\s?[~～–—-]\s?(?=\d{1,3}(?!\d*-))"), "到"),
    (re.compile(r"(?<=\d)\s?×\s?(?=\d)"), "乘"),
    (re.compile(r"(?<=\d)\s?÷\s?(?=\d)"), "除以"),
    (re.compile(r"(?<=\d)\s?\+\s?(?=\d)"), "加"),
    (re.compile(r"\s?=\s?(?=\d)"), "等于"),
    (re.compile(rf"(?<![\d.,第])2(?=[{_MEASURES}])"), "两"),
    (
        re.compile(rf"(?<![A-Za-z\d-])(?:{_NUMBER})(?![\dA-Za-z])"),
        lambda match: read_number(match[0]),
    ),
    (re.compile(r"(?<=[\u3400-\u9fff])\s?&\s?(?=[\u3400-\u9fff])"), "和"),
)

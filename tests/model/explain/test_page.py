"""The page that walks through the ten steps: its numbers, its languages, its policy, on a phone."""

import base64
import hashlib
import re
import string
from dataclasses import fields
from html import unescape
from pathlib import Path

import pytest

from model.explain.page.markup import Html, element, markup
from model.explain.page.page import write_page
from model.explain.page.words import CHINESE, ENGLISH, Words
from model.explain.trace import Trace
from model.explain.tracing import make_trace
from model.inference.engine import InferenceEngine
from model.inference.sampler import SamplingOptions
from tests.browser import PHONE, SCHEMES, Browser
from tests.model.made import small_weights

HOSTILE = "<script>alert(1)</script> & \"'<b>"


def trace_of(seed: str, language: str = "en", temperature: float = 0.8, count: int = 2) -> Trace:
    weights = small_weights(language)
    engine = InferenceEngine(weights.model, "float32")
    return make_trace(weights, engine, seed, SamplingOptions(temperature), 1, count, top=8)


def visible(page: str) -> str:
    """The text of a page without its markup."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.S)
    return unescape(re.sub(r"<[^>]*>", " ", body))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_it_has_ten_steps_of_each_token_with_the_numbers_of_the_trace(
    temperature: float, language: str
):
    trace = trace_of("a fox", language, temperature)
    page = write_page(trace, "a fox", "shipped")
    sections = re.findall(r'<section id="(t\ds\d+)"(.*?)</section>', page, re.S)
    assert [name for name, _ in sections] == [f"t{t}s{s}" for t in (1, 2) for s in range(1, 11)]
    told = {name: visible(content) for name, content in sections}
    words = CHINESE if language == "zh" else ENGLISH
    size = trace.weights.vocabulary.size
    for step in trace.steps:
        ids, crop, _, _, logits, last, divided, left, draw, decoded = (
            told[f"t{step.number}s{n}"] for n in range(1, 11)
        )
        assert all(str(token.cl100k_ids[0]) in ids for token in trace.tokens_before(step))
        assert f"T = {step.read}" in crop
        assert f"[1, {step.read}, {size}]" in logits
        assert f"[1, {size}]" in last
        assert all(f"{c.logit:.3f}" in last for c in step.candidates)
        assert ("÷" in divided) == bool(temperature)
        assert all(f" {count:,} " in left for count in step.left.values())
        number = step.random_number
        assert f"{number:.6f}" in draw if number is not None else words.certain in draw
        assert step.drawn.data.hex(" ") in decoded
    assert words.title.format(seed="a fox") in visible(page)


def test_of_prose_it_tells_that_a_poem_answers_it():
    page = visible(write_page(trace_of("天气", "zh"), "今天天气很好", "shipped"))
    assert "“今天天气很好”怎样续下去" in page
    assert CHINESE.answer.format(asked="今天天气很好", seed="天气") in page
    assert "诗来回答" not in visible(write_page(trace_of("天气", "zh"), "天气", "shipped"))


def test_its_policy_lets_nothing_be_asked_for_and_no_other_script_run():
    page = write_page(trace_of(HOSTILE), HOSTILE, HOSTILE)
    assert re.findall(r"<script\b", page) == ["<script"]
    script = page.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]*)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert "http" not in page.replace("http-equiv", "")
    assert not re.findall(r'(?:src|href)="(?!#t)', page)
    assert visible(page).count(HOSTILE) >= 3


def test_values_are_escaped_and_markup_is_not():
    assert element("p", HOSTILE, element("b", "a"), title='"') == (
        f'<p title="&quot;">{markup(HOSTILE)}<b>a</b></p>'
    )
    assert "<" not in markup(HOSTILE)
    assert markup(Html("<b>")) == "<b>"


def names_in(value: object) -> list[str]:
    """The names in braces of all texts in a value, in order of the alphabet."""
    if isinstance(value, str):
        return sorted(name for _, name, _, _ in string.Formatter().parse(value) if name)
    if isinstance(value, tuple):
        return [name for item in value for name in names_in(item)]
    return [name for item in dict(value).values() for name in names_in(item)]  # type: ignore[call-overload]


def test_both_languages_say_the_same_with_the_same_values():
    for field in fields(Words):
        if field.name != "reasons":
            english, chinese = (getattr(words, field.name) for words in (ENGLISH, CHINESE))
            assert names_in(english) == names_in(chinese), field.name
    assert ENGLISH.filters.keys() == CHINESE.filters.keys()
    assert len(ENGLISH.steps) == len(CHINESE.steps) == 10


@pytest.mark.parametrize("scheme", SCHEMES)
def test_on_a_phone_in_light_and_dark(browser: Browser, scheme: str, tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text(write_page(trace_of(f"a fox {HOSTILE}" * 3), HOSTILE, "shipped"), "utf-8")
    with browser.open(file, scheme=scheme) as page:
        assert page.evaluate("document.querySelectorAll('section').length") == 20
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        for number in range(20):
            shown = "[...document.querySelectorAll('section')].filter(s => s.checkVisibility())"
            names = page.evaluate(f"{shown}.map(s => s.id)")
            assert names == [f"t{1 + number // 10}s{1 + number % 10}"]
            assert (page.width(), page.faint()) == (PHONE, [])
            page.evaluate("document.getElementById('next').click()")
        assert (page.requests, page.complaints) == ([], [])


def test_it_is_walked_by_keys(browser: Browser, tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text(write_page(trace_of("a fox"), "a fox", "shipped"), "utf-8")
    with browser.open(file, width=1000) as page:

        def press(key: str) -> str:
            for kind in ("keyDown", "keyUp"):
                page.command("Input.dispatchKeyEvent", type=kind, key=key, code=key)
            return str(page.evaluate("document.activeElement.id"))

        assert [press(k) for k in ("ArrowRight", "ArrowRight", "ArrowLeft")] == [
            *("t1s2h", "t1s3h", "t1s2h")
        ]
        assert (press("End"), press("ArrowRight"), press("Home")) == ("t2s10h", "t2s10h", "t1s1h")
        page.evaluate("location.hash = '#t2s9'")
        assert page.evaluate("new Promise(r => setTimeout(() => r(document.activeElement.id), 50))")
        assert page.evaluate("document.querySelector('section:not([hidden])').id") == "t2s9"
        assert page.evaluate("document.getElementById('place').textContent") == "19 / 20"

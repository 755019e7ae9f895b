"""The report of a training in a browser: on a phone, in the dark, without a network."""

import json
from pathlib import Path

import pytest

from model.checkpoints.metadata.scores import Change, Scores
from model.train.result.page import write_report
from model.train.result.samples import Sample, printed
from tests.browser import PHONE, SCHEMES, Browser

SAMPLES = [
    Sample(
        "yesterday evening", "we went <home>. " * 9, "“There is no greater harm,” said he. " * 9
    ),
    Sample("春", "春风不相识，何事入罗帏。" * 12, ""),
    Sample("a" * 90, "b" * 400, "c & d"),
]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    steps = [{"step": n, "loss": 4 - n / 40, "rate": 1e-3} for n in range(1, 81)]
    course = [
        {"step": n, "bits_per_byte": 2 - n / 100, "sample": "the old sailor <went>. " * 9}
        for n in range(0, 81, 10)
    ]
    lines = [{"start": {}}, *steps, *course, {"step": 81, "bits_per_byte": float("inf")}]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    scores = Scores(Change(1.609, 1.246), Change(0.492, 0.511))
    return write_report(tmp_path, "en", "It went <well> & is in /a/b.", scores, SAMPLES)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [PHONE, 1200])
def test_it_is_legible_on_every_screen_and_asks_no_host(
    browser: Browser, report: Path, width: int, scheme: str
) -> None:
    with browser.open(report, width=width, scheme=scheme) as page:
        assert (page.requests, page.complaints) == ([], [])
        assert page.width() == width
        texts = [text for text, _ in page.contrasts()]
        assert {"It went <well> & is in /a/b.", "1.246", "0.511", "training loss"} <= set(texts)
        assert page.faint() == []
        heads = page.evaluate("[...document.querySelectorAll('th')].map(t => t.offsetHeight)")
        assert max(heads) < 45  # one line each
        dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        assert dark == (scheme == "dark")
        sides = "new Set([...document.querySelectorAll('.side:has(b) p')].map(p => p.offsetLeft))"
        assert page.evaluate(f"{sides}.size") == (1 if width == PHONE else 2)
        screenshot = page.screenshot()
        assert len(screenshot) > 30_000
        report.with_suffix(f".{width}.{scheme}.png").write_bytes(screenshot)


def test_without_scores_there_is_no_table_of_them(report: Path) -> None:
    page = write_report(report.parent, "zh", "Nothing was better.", None, []).read_text()
    assert '<html lang="zh">' in page
    assert "your texts" not in page


def test_the_first_samples_are_printed_side_by_side() -> None:
    assert list(printed(SAMPLES * 3))[3:6] == [
        "“春”",
        f"    before: {SAMPLES[1].before}",
        "    after:  ",
    ]
    assert len(list(printed(SAMPLES * 3))) == 9

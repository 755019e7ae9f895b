"""The browser of the tests finds the faults that pages can have."""

from pathlib import Path

import pytest

from tests.browser import PHONE, SCHEMES, Browser

_HEAD = '<!doctype html><meta name="viewport" content="width=device-width"><title>a</title>'


def write(folder: Path, body: str, head: str = _HEAD) -> Path:
    page = folder / "page.html"
    page.write_text(head + body)
    return page


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_page_without_faults(browser: Browser, scheme: str, tmp_path: Path) -> None:
    style = "<style>:root { color-scheme: light dark }</style>"
    with browser.open(write(tmp_path, f"{style}<p>seen<p hidden>x"), scheme=scheme) as page:
        assert (page.width(), page.requests, page.complaints, page.faint()) == (PHONE, [], [], [])
        assert page.contrasts() == [("seen", pytest.approx(21 if scheme == "light" else 18, abs=1))]
        assert page.screenshot().startswith(b"\x89PNG")


def test_what_a_page_asks_for_is_found(browser: Browser, tmp_path: Path) -> None:
    body = "<img src='data:,'><img src=http://example.org/a.png><img src=b.png>"
    with browser.open(write(tmp_path, body)) as page:
        assert page.requests == ["http://example.org/a.png", (tmp_path / "b.png").as_uri()]
    policy = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
    with browser.open(write(tmp_path, body, _HEAD + policy)) as page:
        assert any("example.org" in complaint for complaint in page.complaints)


def test_what_scrolls_sideways_is_found(browser: Browser, tmp_path: Path) -> None:
    with browser.open(write(tmp_path, "<div style='width: 400px'>a</div>")) as page:
        assert page.width() > PHONE
    with browser.open(write(tmp_path, "<p>a", "<!doctype html>")) as page:
        assert page.width() > PHONE  # without a viewport, a phone takes it for a desktop's


def test_faint_text_is_found(browser: Browser, tmp_path: Path) -> None:
    body = (
        "<p style='color: #767676'>enough<p style='color: #777'>grey"
        "<div style='background: #333'><p style='color: #fff; opacity: .4'>faded</div>"
        "<svg><text y=20 fill='#ff0'>yellow</text></svg>"
    )
    with browser.open(write(tmp_path, body)) as page:
        assert [text for text, _ in page.faint()] == ["grey", "faded", "yellow"]

"""One page that walks through the ten steps from a text to its next token, for learners.

It is self-contained: no script, style, font or picture comes from elsewhere, and its policy
(Content-Security-Policy) forbids the browser to ask for any.
"""

import base64
import hashlib
from importlib import resources

from model.explain.page.markup import Html, element, join, markup
from model.explain.page.steps import Scene, section_id, sections, title_of
from model.explain.page.words import Words, words_of
from model.explain.text import quoted
from model.explain.trace import Trace

_DOCUMENT = """<!doctype html>
<html lang="{language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src {style_source}; script-src {script_source}">
<title>{title}</title>
<style>{style}</style>
{body}
<script>{script}</script>
</html>
"""


def write_page(trace: Trace, asked: str, weights: str) -> str:
    """The page (HTML) of a trace, in the language of its weights.

    `asked` is the seed that was given, prose where the trace is of a poem that answers it;
    `weights` is the name of the weights.
    """
    words = words_of(trace.weights.language)
    style, script = (_read(name) for name in ("page.css", "page.js"))
    title = words.title.format(seed=asked)
    return _DOCUMENT.format(
        language=words.code,
        style_source=_source(style),
        script_source=_source(script),
        title=markup(title),
        style=style,
        script=script,
        body=_body(trace, words, title, _facts(trace, words, asked, weights)),
    )


def _body(trace: Trace, words: Words, title: str, facts: list[Html]) -> Html:
    scenes = [Scene(trace, step, words) for step in trace.steps]
    header = element(
        "header",
        element("h1", title),
        element("p", words.introduction),
        *facts,
        _contents(scenes, words),
    )
    steps = element("main", *(section for scene in scenes for section in sections(scene)))
    return join([header, steps, _buttons(words)])


def _facts(trace: Trace, words: Words, asked: str, weights: str) -> list[Html]:
    """What is continued, and with which settings."""
    s = trace.sampling
    settings = {"top_k": s.top_k, "top_p": f"{s.top_p:g}", "min_p": f"{s.min_p:g}"}
    sampler = words.sampler.format(weights=weights, temperature=f"{s.temperature:g}", **settings)
    answer = words.answer.format(asked=asked, seed=trace.seed) if asked != trace.seed else ""
    return [element("p", answer), element("p", sampler, class_="place")]


def _contents(scenes: list[Scene], words: Words) -> Html:
    """Links to all steps of all tokens."""
    parts = []
    for scene in scenes:
        number = scene.step.number
        parts.append(
            element("h2", words.heading.format(number=number, text=quoted(scene.step.drawn)))
        )
        links = [
            element("li", element("a", title_of(scene, n), href=f"#{section_id(number, n)}"))
            for n in range(1, len(words.steps) + 1)
        ]
        parts.append(element("ol", *links))
    summary = element("summary", words.contents)
    return element("nav", element("details", summary, *parts), aria_label=words.contents)


def _buttons(words: Words) -> Html:
    """Previous, the place, next; hidden where there is no script to serve them."""
    return element(
        "footer",
        element("button", words.previous, type="button", id="previous"),
        element("span", id="place"),
        element("button", words.next, type="button", id="next"),
        hidden="",
    )


def _read(name: str) -> str:
    return resources.files("model.explain.page").joinpath(name).read_text("utf-8")


def _source(content: str) -> str:
    """The policy's name of this style or script: its SHA-256."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

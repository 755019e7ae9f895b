"""HTML and SVG as strings, in which every value is escaped unless it is markup itself."""

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """Markup, which is not escaped again."""


def markup(value: str) -> Html:
    """The value as markup: text is escaped."""
    return value if isinstance(value, Html) else Html(escape(value))


def join(parts: Iterable[str]) -> Html:
    """The parts one after another, as markup."""
    return Html("".join(map(markup, parts)))


def element(name: str, *content: str, **attributes: str | float) -> Html:
    """An element; `class_` and the like lose their underscore, `aria_label` gets a hyphen."""
    names = {key: key.removesuffix("_").replace("_", "-") for key in attributes}
    written = "".join(f' {names[k]}="{escape(str(v))}"' for k, v in attributes.items())
    return Html(f"<{name}{written}>{join(content)}</{name}>")


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    marked: Iterable[int] = (),
    kind: str = "scroll",
) -> Html:
    """A table that scrolls by itself where it is too wide; rows `marked` by index stand out.

    `kind` is "scroll", or "wrap" for words, which wrap instead.
    """
    chosen = set(marked)
    body = [
        element("tr", *(element("td", cell) for cell in row), **_class("marked", at in chosen))
        for at, row in enumerate(rows)
    ]
    head_row = element("tr", *(element("th", cell, scope="col") for cell in head))
    content = element("thead", head_row), element("tbody", *body)
    return element("div", element("table", *content), class_=kind)


def _class(name: str, wanted: bool) -> dict[str, str]:
    return {"class_": name} if wanted else {}

import time

import pytest

from config.errors import InputError
from model.data.html_text import paragraphs_of_html


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>A <i>fox</i>,\n  old.</p><p>Rain.<br/>Snow.</p>", "A fox, old.\n\nRain.\nSnow."),
        ("<pre>Tyger,\n  burning\n\nIn the forests</pre>", "Tyger,\nburning\n\nIn the forests"),
        ("<pre><code>x = 1</code></pre><p>One</p>", "One"),
        ('<pre><code class="language-poem">A\nB</code></pre>', "A\nB"),
        ("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>字</p>", "漢字"),
        ('<p>Fox<sup>1</sup> and<a href="n.xhtml#n2">[2]</a> hen.</p>', "Fox and hen."),
        ("<p>The 4<sup>th</sup>, M<sup>r</sup> Fox.<sup>a</sup></p>", "The 4th, Mr Fox."),
        ('<p>A hen<a epub:type="noteref" href="#n">x</a>.</p>', "A hen."),
        ('<p>See <a href="#later">later</a> and <a href="n.xhtml">2</a>.</p>', "See later and 2."),
        ('<aside epub:type="footnote">no</aside><div role="doc-endnotes">no</div>yes', "yes"),
        ("<table><tr><td>1</td><td>rain</td></tr></table>yes", "yes"),
        (f"<table><tr><td><p>{'The fox. ' * 20}</p></td></tr></table>", ("The fox. " * 20).strip()),
        ("<nav><a>no</a></nav><figure><img/><figcaption>no</figcaption></figure>yes", "yes"),
        ("<title/><script src='x'/><a id='p1'/><p>one</p><p/><p>two</p>", "one\n\ntwo"),
        ("<html><head><title>no</title><style>no</style><body><p>yes", "yes"),
        ("<p>a<!-- no <p> -->b</p><!-- <!-- no -->c<![CDATA[ 1 < 2 ]]>", "ab\n\nc 1 < 2"),
        ("<p>1 < 2 & 3 &amp; 4 &nbsp;&mdash; 5</p>", "1 < 2 & 3 & 4 — 5"),
        ('<p>A<i class="x pageNum">[Pg 3]</i> fox.<i class="linenum">10</i></p>', "A fox."),
        ('<p>A fox<a href="#n"> <i>[</i> <b> 1</b> ] </a>.</p>', "A fox."),
        ("won&shy;der&#8203;ful", "wonderful"),
        ("<!-- unclosed <p>yes</p>", "unclosed\n\nyes"),
    ],
)  # fmt: skip
def test_what_is_read_of_a_page(page: str, text: str):
    assert paragraphs_of_html(page) == text


def test_own_entities_are_expanded_once():
    page = (
        '<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "x.dtd" [\n'
        '<!ENTITY nbsp "&#160;"> <!ENTITY me \'A. <b>Hen</b>\'> <!ENTITY a "lol">\n'
        + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">\n' for n in range(1, 10))
        + "]><p>By&nbsp;&me;, &a;&a1;&a9;&unknown;</p>"
    )
    assert paragraphs_of_html(page) == "By A. Hen, lol&unknown"


def test_a_page_that_is_mostly_links_is_a_table_of_contents():
    contents = "<h1>Contents</h1>" + "<p><a href='a#b'>Chapter of the fox</a></p>" * 9
    assert paragraphs_of_html(contents, without_contents=True) == ""
    assert "Chapter" in paragraphs_of_html(contents)
    page = contents + "<p>The fox ran.</p>" * 40
    assert "ran" in paragraphs_of_html(page, without_contents=True)


@pytest.mark.parametrize(
    "part",
    ["<p>x", "<", "<a ", "<!--", "</", "<![CDATA[", "<a b='", "<?", "<!", "<!DOCTYPE [", "&x"],
)
def test_damaged_pages_take_no_more_time_than_others(part: str):
    began = time.process_time()
    paragraphs_of_html(part * (100_000 // len(part)))
    assert time.process_time() - began < 20  # some took minutes: quadratic time


def test_unclosed_links_take_no_more_time_than_other_tags():
    began = time.process_time()
    assert paragraphs_of_html('<a href="#1">' * 40_000 + "The fox.") == "The fox."
    assert time.process_time() - began < 20  # it took more than a minute


def test_a_page_of_tags_alone_is_refused():
    with pytest.raises(InputError, match="more than 500,000 tags"):
        paragraphs_of_html("<i>" * 500_001)

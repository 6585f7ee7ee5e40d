"""The page of pictures and texts: what it shows, and that nothing from data is live in it."""

from __future__ import annotations

import base64
import hashlib
import io
from html.parser import HTMLParser

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evaluation.nesting import brackets
from evaluation.page import ShownText, page_of, picture_uri

TEXT = "an old man's dog and his hat"
MENTIONS = [(0, 10), (0, 16), (7, 16), (21, 24), (21, 28)]
CHAINS = [[0, 3], [1], [2], [4]]
HOSTILE = "<script>alert(1)</script> </p>\"'><img src=x onerror=y> &lt; ]]> <!-- \x00\x1b[31m\u2028"
BOXES = np.array([[0.1, 0.2, 0.5, 0.9]] * len(MENTIONS), np.float32)
SCORES = np.array([0.5, 0.7, 0.0, 0.6, 0.4], np.float32)


class Elements(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.comments: list[str] = []
        self.open: list[tuple[str, str | None]] = []  # with their classes
        self.texts: list[str] = []  # of every paragraph of a narration
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append((tag, dict(attrs).get("class")))
        if dict(attrs).get("class") == "text":
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        if ("p", "text") in self.open and self.open[-1] != ("span", "number"):
            self.texts[-1] += data

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [a for _, a in self.tags if name in (a.get("class") or "").split()]


def shown(text: str = TEXT, title: str = "a picture") -> ShownText:
    picture = picture_uri(Image.new("RGB", (30, 20), "red"))
    return ShownText(title, text, MENTIONS, CHAINS, BOXES, SCORES, picture)


def test_every_mention_has_its_chain_in_the_text_and_in_the_picture() -> None:
    elements = Elements(page_of([shown()]))
    assert elements.open == [] and elements.comments == []
    whole = [m for m in elements.of_class("mention") if "tabindex" in m]
    assert [m["data-chain"] for m in whole] == ["2", "1", "3", "4", "1"]
    assert len(elements.of_class("mention")) == len(MENTIONS) + 1  # one is in two pieces
    boxes = elements.of_class("box")
    assert sorted(box["data-chain"] for box in boxes) == ["1", "1", "2", "4"]
    assert all(box["tabindex"] == "0" for box in boxes)
    always = elements.of_class("of-chain")
    assert {box["data-chain"]: box["title"] for box in always} == {
        "1": "his, 0.60", "2": "an old man's dog, 0.70", "4": "his hat, 0.40",
    }  # fmt: skip
    assert boxes[0]["style"] == "left:10.00%;top:20.00%;width:40.00%;height:70.00%"
    colours = {m["data-chain"]: m["data-colour"] for m in [*whole, *boxes]}
    assert colours == {"1": "1", "2": "0", "3": "0", "4": "0"}


def test_nothing_from_data_is_live() -> None:
    text = TEXT + HOSTILE
    plain = Elements(page_of([shown()]))
    mentions = [*MENTIONS, (len(TEXT), len(text))]
    hostile = Elements(
        page_of(
            [
                ShownText(
                    HOSTILE, text, mentions, [*CHAINS, [5]],
                    np.concatenate([BOXES, BOXES[:1]]), np.append(SCORES, np.float32(0.1)),
                    shown().picture,
                )
            ]
        )
    )  # fmt: skip
    assert hostile.comments == [] and hostile.open == []
    added = [tag for tag, _ in hostile.tags]
    for tag, _ in plain.tags:
        added.remove(tag)
    assert sorted(added) == ["div", "span", "span", "span"]  # the new mention, its box, two numbers
    known = {name for _, attributes in plain.tags for name in attributes}
    assert {name for _, attributes in hostile.tags for name in attributes} == known
    page = page_of([shown(text, HOSTILE)])
    assert not {"\x00", "\x1b", "\u2028"} & set(page)


def test_only_the_pages_own_script_may_run_and_nothing_is_loaded() -> None:
    page = page_of([shown(TEXT + HOSTILE)])
    elements = Elements(page)
    (policy,) = [a["content"] for tag, a in elements.tags if a.get("http-equiv")]
    script = page.split("<script>")[1].split("</script>")[0]
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{checksum}'" in policy
    assert [tag for tag, _ in elements.tags].count("script") == 1
    sources = [a[name] for _, a in elements.tags for name in ("src", "href") if name in a]
    assert sources and all(source.startswith("data:image/jpeg;base64,") for source in sources)


def test_the_same_texts_give_the_same_page() -> None:
    assert page_of([shown(), shown(HOSTILE * 2)]) == page_of([shown(), shown(HOSTILE * 2)])


def test_a_text_without_a_picture_or_mentions_is_shown() -> None:
    nothing = Elements(page_of([ShownText("n", "", [], []), ShownText("t", TEXT, [], [])]))
    assert nothing.texts == ["", TEXT]
    assert not nothing.of_class("box") and not nothing.of_class("picture")
    assert Elements(page_of([])).texts == []


def test_a_large_picture_is_made_smaller() -> None:
    uri = picture_uri(Image.new("RGB", (3000, 1500)))
    content = base64.b64decode(uri.partition(",")[2])
    assert Image.open(io.BytesIO(content)).size == (1000, 500)


_spans = st.tuples(st.integers(0, len(TEXT) - 1), st.integers(1, 12)).map(
    lambda pair: (pair[0], min(pair[0] + pair[1], len(TEXT)))
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_spans, max_size=8))
def test_the_text_is_read_back_from_the_page(spans: list[tuple[int, int]]) -> None:
    chains = [[index] for index in range(len(spans))]
    elements = Elements(page_of([ShownText("t", TEXT, spans, chains)]))
    assert elements.open == []
    assert elements.texts == [TEXT]


@settings(max_examples=100, deadline=None)
@given(st.lists(_spans, max_size=8))
def test_brackets_nest_and_cover_what_they_should(spans: list[tuple[int, int]]) -> None:
    opened: list[int] = []
    covered: list[list[int]] = [[] for _ in spans]
    previous = 0
    for here in brackets(spans, [0, len(TEXT)]):
        for index in opened:
            covered[index] += range(previous, here.place)
        for index in here.closing:
            assert opened.pop() == index
        opened += here.opening
        previous = here.place
    assert opened == []
    assert covered == [list(range(*span)) for span in spans]

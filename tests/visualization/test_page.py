"""The page of images and texts: what it shows, and that nothing from data is live in it."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from metrics.error_analysis.box_errors import find_wrong_boxes
from metrics.error_analysis.errors import Error, find_errors
from metrics.error_analysis.nesting import brackets
from metrics.grounding_scores import GroundedMention, score_grounding
from visualization.page import page_html
from visualization.page_content import (
    PageAnnotation,
    PageBox,
    PageImage,
    PageText,
    SpeakerTurn,
    image_uri,
)

TEXT = "an old man's dog and his hat"
MAN, DOG, CROSSING, HIS, HAT = (0, 10), (0, 16), (7, 16), (21, 24), (21, 28)
CHAINS = [[MAN, HIS], [DOG], [CROSSING], [HAT]]
GOLD = [[MAN, HIS], [DOG], [HAT]]
HOSTILE = "<script>alert(1)</script> </p>\"'><img src=x onerror=y> &lt; ]]> <!-- \x00\x1b[31m\u2028"
BOX = (0.1, 0.2, 0.5, 0.9)
BOXES = {MAN: [PageBox(BOX, score=0.5)], DOG: [PageBox(BOX, score=0.7)]}
BOXES[HIS] = [PageBox((0.55, 0.2, 0.7, 0.9), score=0.6)]
BOXES[HAT] = [PageBox((0.1, 0.0, 0.5, 0.2), score=0.4)]


class Elements(HTMLParser):
    """The tags of a page with their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.comments: list[str] = []
        self.open: list[tuple[str, str | None]] = []  # with their classes
        self.texts: list[str] = []  # of every text on either side, without speakers and numbers
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "img", "br", "input"):
            self.open.append((tag, dict(attrs).get("class")))
        if dict(attrs).get("class") == "text":
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        added = self.open and (self.open[-1][1] or "").split()[:1] in (["number"], ["speaker"])
        if ("p", "text") in self.open and not added:
            self.texts[-1] += data

    def of_class(self, name: str) -> list[dict[str, str]]:
        return [a for _, a in self.tags if name in a.get("class", "").split()]


def shown(text: str = TEXT, title: str = "a picture") -> PageText:
    uri = image_uri(Image.new("RGB", (30, 20), "red"))
    return PageText(title, text, PageAnnotation(CHAINS, BOXES), images=[PageImage((30, 20), uri)])


def with_gold() -> PageText:
    """What the other one shows, beside gold chains, with an error of each sort that is there."""
    errors = find_errors({"t": TEXT}, {"t": GOLD}, {"t": CHAINS}).found
    wrong = Error("t", "wrong_boxes", "pronouns", (HIS,))
    gold = PageAnnotation(GOLD, {MAN: [PageBox(BOX)], HIS: [PageBox((0.6, 0.2, 0.9, 0.9))]})
    return replace(shown(), gold=gold, errors=[*errors, wrong], scores={"CoNLL F1": 81.25})


def test_every_mention_has_its_chain_in_the_text_and_in_the_image() -> None:
    elements = Elements(page_html([shown()]))
    assert elements.open == [] and elements.comments == []
    whole = [m for m in elements.of_class("mention") if "tabindex" in m]
    assert [m["data-chain"] for m in whole] == ["2", "1", "3", "4", "1"]
    assert len(elements.of_class("mention")) == len(whole) + 1  # one is in two pieces
    boxes = elements.of_class("box")
    assert sorted(box["data-chain"] for box in boxes) == ["1", "1", "2", "4"]
    always = elements.of_class("of-chain")
    assert {box["data-chain"]: box["title"] for box in always} == {
        "1": "his, predicted, 0.60",
        "2": "an old man's dog, predicted, 0.70",
        "4": "his hat, predicted, 0.40",
    }
    assert boxes[0]["style"] == "left:10.00%;top:20.00%;width:40.00%;height:70.00%"
    colours = {m["data-chain"]: m["data-colour"] for m in [*whole, *boxes]}
    assert colours == {"1": "1", "2": "0", "3": "0", "4": "0"}


def test_gold_stands_beside_what_is_predicted_under_the_same_numbers() -> None:
    page = page_html([with_gold()])
    elements = Elements(page)
    assert elements.texts == [TEXT, TEXT]
    numbers: dict[str, list[str]] = {}
    for mention in elements.of_class("mention"):
        if "tabindex" in mention:
            numbers.setdefault(mention["data-span"], []).append(mention["data-chain"])
    assert numbers == {
        "0-10": ["1", "1"], "0-16": ["2", "2"], "7-16": ["3"], "21-24": ["1", "1"],
        "21-28": ["4", "4"],
    }  # fmt: skip
    assert len(elements.of_class("gold")) == 2
    assert "his, predicted, 0.60, wrong" in page and "an old man, predicted, 0.50, right" in page
    assert "CoNLL F1 81.2" in page


def test_every_error_is_counted_under_its_sort_and_its_kind() -> None:
    texts = [with_gold(), with_gold(), shown()]
    tags = Elements(page_html(texts)).tags
    errors = [error for text in texts for error in text.errors]
    listed = [(a["data-sort"], a["data-kind"]) for tag, a in tags if tag == "li"]
    assert sorted(listed) == sorted((error.sort, error.kind) for error in errors)
    buttons = {a.get("data-sort") or a["data-kind"] for tag, a in tags if tag == "button"}
    assert buttons == {name for pair in listed for name in pair if name}
    assert not [tag for tag, _ in Elements(page_html([shown()])).tags if tag == "button"]


def test_chains_that_share_a_colour_have_other_lines() -> None:
    text = "a b " * 14
    chains = [[(4 * n, 4 * n + 1), (4 * n + 2, 4 * n + 3)] for n in range(14)]
    mentions = Elements(page_html([PageText("t", text, PageAnnotation(chains))])).of_class(
        "mention"
    )
    looks = {m["data-chain"]: (m["data-colour"], m["data-line"]) for m in mentions}
    assert len(set(looks.values())) == 14 and ("0", "0") not in looks.values()


def test_boxes_lie_in_their_own_image() -> None:
    frames = [PageImage((40, 30), caption=f"frame {number}") for number in (270, 300)]
    side = PageAnnotation([[MAN]], {MAN: [PageBox(BOX, 0, 0.9), PageBox(BOX, 1, 0.2)]})
    page = page_html([PageText("t", TEXT, side, images=frames)])
    first, second = page.split("frame 270")
    assert "predicted, 0.90" in first and "predicted, 0.20" in second and "frame 300" in second
    elements = Elements(page)
    # Frames without an image have their proportions; a chain is to be seen in each.
    assert [p["style"] for p in elements.of_class("picture")] == ["--ratio:40/30"] * 2
    assert len(elements.of_class("of-chain")) == 2
    assert not [tag for tag, _ in elements.tags if tag == "img"]


def test_speakers_begin_lines_even_within_a_mention() -> None:
    turns = [SpeakerTurn(0, "A"), SpeakerTurn(11, HOSTILE)]
    elements = Elements(page_html([PageText("t", TEXT, PageAnnotation(CHAINS), turns=turns)]))
    assert elements.open == [] and elements.texts == [TEXT]
    assert len(elements.of_class("speaker")) == 2
    assert [tag for tag, _ in elements.tags].count("br") == 1


def test_scores_and_figures_stand_above_the_texts() -> None:
    content = io.BytesIO()
    Image.new("RGB", (3, 2)).save(content, "PNG")
    page = page_html(
        [shown()], title="the page", scores={"MUC": 12.34}, figures=[("loss", content.getvalue())]
    )
    above, _ = page.split("<main>")
    assert "<h1>the page</h1>" in above and "<dt>MUC</dt><dd>12.3</dd>" in above
    uri = above.split('<img src="data:image/png;base64,')[1].split('"')[0]
    assert base64.b64decode(uri) == content.getvalue() and "<summary>loss</summary>" in above


def hostile() -> PageText:
    """A text that has something hostile everywhere where something comes from data."""
    text = TEXT + HOSTILE
    span = (len(TEXT), len(text))
    return PageText(
        HOSTILE,
        text,
        PageAnnotation([*CHAINS, [span]], {**BOXES, span: [PageBox(BOX, score=0.1)]}),
        PageAnnotation([[span]], {span: [PageBox(BOX)]}),
        [replace(shown().images[0], caption=HOSTILE)],
        [SpeakerTurn(0, HOSTILE)],
        [Error("t", "extra_mentions", "nouns", (span,))],
        {HOSTILE: 1.0},
    )


def test_nothing_from_data_is_live() -> None:
    page = page_html([hostile()], title=HOSTILE, scores={HOSTILE: 1.0}, figures=[(HOSTILE, b"")])
    elements = Elements(page)
    assert elements.comments == [] and elements.open == []
    known = {name for _, a in Elements(page_html([with_gold()])).tags for name in a}
    assert {name for _, attributes in elements.tags for name in attributes} == known
    tags = [tag for tag, _ in elements.tags]
    assert tags.count("script") == 1 and tags.count("img") == 2
    assert not {"\x00", "\x1b", "\u2028"} & set(page)


def test_only_the_pages_own_script_may_run_and_nothing_is_loaded() -> None:
    page = page_html([hostile()])
    elements = Elements(page)
    (policy,) = [a["content"] for tag, a in elements.tags if a.get("http-equiv")]
    script = page.split("<script>")[1].split("</script>")[0]
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{checksum}'" in policy
    sources = [a[name] for _, a in elements.tags for name in ("src", "href") if name in a]
    assert sources and all(source.startswith(("data:image/jpeg;", "#n")) for source in sources)


def test_the_same_texts_give_the_same_page() -> None:
    assert page_html([shown(), hostile()]) == page_html([shown(), hostile()])


def test_a_text_without_an_image_or_mentions_is_shown() -> None:
    texts = [PageText("n", "", PageAnnotation([])), PageText("t", TEXT, PageAnnotation([]))]
    nothing = Elements(page_html(texts))
    assert nothing.texts == ["", TEXT]
    assert not nothing.of_class("box") and not nothing.of_class("picture")
    assert Elements(page_html([])).texts == []


def test_a_large_image_is_made_smaller() -> None:
    uri = image_uri(Image.new("RGB", (3000, 1500)))
    content = base64.b64decode(uri.partition(",")[2])
    assert Image.open(io.BytesIO(content)).size == (640, 320)


def test_wrong_boxes_are_those_that_the_grounding_scores_count() -> None:
    gold = np.array([BOX], np.float32)
    found = {MAN: gold[0], DOG: np.array([0.6, 0.2, 0.9, 0.9], np.float32), HIS: None}
    mentions = [
        (span, GroundedMention(TEXT[slice(*span)], gold, box, gold)) for span, box in found.items()
    ]
    errors = find_wrong_boxes("t", mentions, {"his"})
    assert [(error.kind, error.spans) for error in errors] == [
        ("nouns", (DOG,)), ("pronouns", (HIS,)),
    ]  # fmt: skip
    scores = score_grounding([mention for _, mention in mentions], {"his"})
    assert scores.any_box.overall == 1 / 3


_spans = st.tuples(st.integers(0, len(TEXT) - 1), st.integers(1, 12)).map(
    lambda pair: (pair[0], min(pair[0] + pair[1], len(TEXT)))
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_spans, max_size=8), st.lists(st.integers(0, len(TEXT)), max_size=2))
def test_the_text_is_read_back_from_the_page(
    spans: list[tuple[int, int]], starts: list[int]
) -> None:
    turns = [SpeakerTurn(start, "A") for start in sorted(starts)]
    side = PageAnnotation([[span] for span in spans])
    elements = Elements(page_html([PageText("t", TEXT, side, turns=turns)]))
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

"""The page as people use it, in a headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Error, Locator, Page, sync_playwright

from tests.visualization.test_page import (
    HOSTILE,
    TEXT,
    hostile,
    shown,
    with_gold,
)
from visualization.page import page_html
from visualization.page_content import PageAnnotation, PageText

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Without Chromium a test is skipped; where MCR_REQUIRE_BROWSER is set that is a failure."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    with sync_playwright() as playwright:
        try:
            if program is None:
                raise Error(f"none of {', '.join(PROGRAMS)} is installed")
            # The sandbox refuses to be started by root.
            opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        except Error as error:
            reason = f"no browser: {error.message}"
            if os.environ.get("MCR_REQUIRE_BROWSER"):
                pytest.fail(reason)
            pytest.skip(reason)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """Three texts, of which the first has errors and the last is hostile.

    What is written to the console or asked of a network fails the test.
    """
    path = tmp_path / "page.html"
    only_chains = PageText("no picture", TEXT, PageAnnotation([[(0, 10), (21, 24)]]))
    path.write_text(
        page_html([with_gold(), only_chains, hostile()], title=HOSTILE), encoding="utf-8"
    )
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(5000)
    heard: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        heard.append(dialog.message)
        dialog.dismiss()

    opened.on("console", lambda message: heard.append(message.text))
    opened.on("pageerror", lambda error: heard.append(str(error)))
    opened.on("dialog", dismiss)
    opened.on("request", lambda request: heard.append(request.url))
    opened.goto(path.as_uri())
    yield opened
    opened.close()
    asked = [what for what in heard if not what.startswith(("data:", tmp_path.as_uri()))]
    assert asked == []


def lit(page: Page) -> set[tuple[str, str]]:
    """The looks and the spans of all that is lit."""
    found = page.locator(".lit").evaluate_all(
        "parts => parts.map(p => [p.classList.contains('gold') ? 'gold' : p.classList[0], "
        "p.dataset.span])"
    )
    return {(looks, span) for looks, span in found}


def part(page: Page, looks: str, span: str) -> Locator:
    """The first one on the page that is of a mention."""
    return page.locator(f'{looks}[data-span="{span}"]').first


OF_CHAIN = {(looks, span) for looks in ("mention", "box", "gold") for span in ("0-10", "21-24")}


def test_a_mention_lights_its_chain_and_its_boxes(page: Page) -> None:
    part(page, ".mention", "21-24").hover()
    assert lit(page) == OF_CHAIN
    # On both sides it is the one that is pointed at.
    assert page.locator(".mention.pointed").count() == 2
    assert part(page, ".box.gold", "0-10").is_visible()
    page.locator("h1").hover()
    assert lit(page) == set()
    assert not part(page, ".box.gold", "0-10").is_visible()


def test_a_box_lights_its_chain(page: Page) -> None:
    part(page, ".box.of-chain", "21-24").hover()
    assert lit(page) == OF_CHAIN


def test_an_error_lights_the_mentions_that_it_is_about(page: Page) -> None:
    page.locator('li[data-sort="wrong_boxes"]').hover()
    assert lit(page) == {(looks, "21-24") for looks in ("mention", "box", "gold")}


def test_a_click_keeps_the_light_until_it_is_let_go(page: Page) -> None:
    part(page, ".mention", "21-24").click()
    page.locator("h1").hover()
    part(page, ".mention", "0-16").hover(position={"x": 110, "y": 5})
    assert lit(page) == OF_CHAIN
    page.keyboard.press("Escape")
    assert lit(page) == set()
    part(page, ".mention", "21-24").click()
    page.locator("h1").click()
    assert lit(page) == set()


def test_a_click_on_an_error_shows_its_mentions(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 300})
    page.locator('li[data-sort="wrong_boxes"]').click()
    mention = part(page, ".mention", "21-24")
    place = mention.evaluate("mention => mention.getBoundingClientRect()")
    assert 0 < place["top"] < place["bottom"] < 300


def test_the_keyboard_reaches_everything(page: Page) -> None:
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('#n1 h2 a')"):
            break
    reached = []
    while not page.evaluate("document.activeElement.matches('li:last-child')"):
        page.keyboard.press("ArrowRight")
        focused = "[document.activeElement.className, document.activeElement.dataset.span]"
        reached.append(tuple(page.evaluate(focused)))
        assert page.locator(".lighting").count() == 1
        assert len(reached) < 50
    of_both_sides = [span for looks, span in reached if looks.startswith("mention")]
    assert sorted(of_both_sides) == sorted(2 * ["0-10", "0-16", "21-24", "21-28"] + ["7-16"])
    assert {span for looks, span in reached if looks.startswith("box")} == {
        "0-16", "21-24", "21-28",
    }  # fmt: skip
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.matches('li:nth-last-child(2)')")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('#n2 h2 a')")


def test_the_keyboard_reaches_boxes_that_are_seen_only_while_they_are_lit(page: Page) -> None:
    page.locator("#n1 h2 a").focus()
    reached = set()
    for key in ["ArrowRight"] * 20 + ["ArrowLeft"] * 40:
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.closest('#n1') !== null")
        looks = page.evaluate("document.activeElement.className")
        reached |= {"hidden"} if "box" in looks and "of-chain" not in looks else set()
    assert reached == {"hidden"}
    assert page.evaluate("document.activeElement.matches('#n1 h2 a')")


def test_filters_leave_the_texts_with_such_errors(page: Page) -> None:
    def seen() -> list[str]:
        return page.locator("section:visible").evaluate_all("all => all.map(one => one.id)")

    count = page.locator(".count")
    assert seen() == ["n1", "n2", "n3"] and count.inner_text() == "3 of 3 shown"
    extra = page.locator('button[data-sort="extra_mentions"]')
    assert extra.inner_text() == "extra mentions 2"
    extra.click()
    assert seen() == ["n1", "n3"] and count.inner_text() == "2 of 3 shown"
    assert extra.get_attribute("aria-pressed") == "true"
    sorts = page.locator("#n1 li:visible").evaluate_all("all => all.map(one => one.dataset.sort)")
    assert sorts == ["extra_mentions"]
    # Of these none is about a pronoun, and the button says so before it is pressed.
    pronouns = page.locator('[data-kind="pronouns"]').first
    assert pronouns.inner_text() == "pronouns 0"
    pronouns.click()
    assert seen() == [] and count.inner_text() == "0 of 3 shown"
    extra.press("Enter")
    assert seen() == ["n1"]
    pronouns.press("Space")
    assert seen() == ["n1", "n2", "n3"]


def test_gold_boxes_can_all_be_shown(page: Page) -> None:
    assert page.locator(".box.gold:visible").count() == 0
    page.get_by_label("gold boxes").check()
    assert page.locator(".box.gold:visible").count() == page.locator(".box.gold").count() == 3


def test_captions_stay_text(page: Page) -> None:
    assert "<script>alert(1)</script>" in page.locator("h1").inner_text()
    assert "<img src=x onerror=y>" in page.locator("#n3 .text").first.inner_text()
    assert page.locator("img[src='x']").count() == 0


@pytest.mark.parametrize("width", [320, 400, 1280])
def test_nothing_is_wider_than_the_page(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    inside = "all => all.every(e => e.getBoundingClientRect().right <= innerWidth)"
    assert page.locator("section, section *").evaluate_all(inside)


def test_what_is_printed_has_no_buttons_and_keeps_its_colours(page: Page) -> None:
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible() and not page.locator(".help").is_visible()
    assert page.locator("section").last.is_visible()
    style = "element => getComputedStyle(element)"
    section = page.locator("section").first
    assert section.evaluate(f"{style}.breakInside") == "avoid"
    box = page.locator(".box.of-chain").first
    assert box.evaluate(f"{style}.printColorAdjust") == "exact"


def test_the_page_follows_the_colours_of_the_system(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(background) != light
    # Paper is white whatever the screen is.
    page.emulate_media(color_scheme="dark", media="print")
    assert page.evaluate(background) == "rgb(255, 255, 255)"


def test_a_page_without_gold_has_nothing_to_filter(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "other.html"
    path.write_text(page_html([shown()]), encoding="utf-8")
    page.goto(path.as_uri())
    assert page.locator(".filters").count() == 0
    part(page, ".mention", "21-24").hover()
    assert lit(page) == {(looks, span) for looks, span in OF_CHAIN if looks != "gold"}

"""Time a page of many narrations with images in a browser, beside a tenth of them.

    python benchmarks/browsing.py

Narrations and images are generated: 80 words, 17 mentions with a box on either side, a fifth of
them in a wrong chain. The browser is Chromium without a window. A page is seen when its first texts
are drawn, open when all of its images are there; a filter has answered when what it leaves is
drawn.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.figures import add_json_option, write_figures
from metrics.chains import chains_from_labels
from metrics.error_analysis.errors import find_errors
from utils.distributed.command import run_command
from utils.files import write_text
from utils.options import command_parser, whole_number_from
from visualization.page import page_html
from visualization.page_content import (
    PageAnnotation,
    PageBox,
    PageImage,
    PageText,
    image_uri,
)

WORDS, MENTIONS = 80, 17
_SIZE = (640, 480)
_SEEN = """new Promise(done => new PerformanceObserver(list => {
  const [seen] = list.getEntriesByName("first-contentful-paint");
  if (seen) done(seen.startTime / 1000);
}).observe({ type: "paint", buffered: true }))"""
_DRAWN = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
_FILTER = f"""async () => {{
  const start = performance.now();
  document.querySelector(".filters button").click();
  await {_DRAWN};
  return (performance.now() - start) / 1000;
}}"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line says."""
    number = whole_number_from(1)
    parser = command_parser("Time a page in Chromium.", prog="browsing.py")
    parser.add_argument("--narrations", type=number, default=500, help="of the longer page (500)")
    parser.add_argument("--repeats", type=number, default=5, help="of each measurement (5)")
    parser.add_argument(
        "--browser", default="/usr/bin/chromium", metavar="PROGRAM", help="a Chromium"
    )
    add_json_option(parser)
    options = parser.parse_args(arguments)
    sizes = [max(options.narrations // 10, 1), options.narrations]
    figures = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=["--no-sandbox"])
        for narrations in sizes:
            path = Path(folder) / f"{narrations}.html"
            start = time.perf_counter()
            write_text(path, page_html(make_texts(narrations)))
            writing = time.perf_counter() - start
            measured = [open_and_filter(browser, path) for _ in range(options.repeats)]
            seen, opened, answered = map(statistics.median, zip(*measured, strict=True))
            size = path.stat().st_size / 1e6
            figures[narrations] = {
                "megabytes": size,
                "write_seconds": writing,
                "seen_seconds": seen,
                "open_seconds": opened,
                "filter_seconds": answered,
            }
            print(
                f"{narrations} narrations, {size:.1f} MB: written in {writing:.2f} s, seen after "
                f"{seen:.2f} s, open after {opened:.2f} s, a filter answers in {answered:.3f} s"
            )
        browser.close()
    write_figures(options.json, figures)


def make_texts(narrations: int) -> list[PageText]:
    """Make narrations with images, gold and predicted chains and boxes, and their errors."""
    random = np.random.default_rng(0)
    return [_make_text(str(number), random) for number in range(narrations)]


def open_and_filter(browser: Browser, path: Path) -> tuple[float, float, float]:
    """Measure the seconds until a page is seen, until it is open, and until a filter answers."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    start = time.perf_counter()
    page.goto(path.as_uri())
    page.evaluate(_DRAWN)
    opened = time.perf_counter() - start
    times = page.evaluate(_SEEN), opened, page.evaluate(_FILTER)
    page.close()
    return times


def _make_text(name: str, random: np.random.Generator) -> PageText:
    words = ["".join(chr(97 + n) for n in random.integers(0, 26, 4)) for _ in range(WORDS)]
    starts = np.sort(random.choice(WORDS - 1, MENTIONS, replace=False)) * 5
    spans = [(int(start), int(start) + 4) for start in starts]
    text = " ".join(words)
    labels = random.integers(0, MENTIONS // 2, MENTIONS)
    gold = [[spans[i] for i in chain] for chain in chains_from_labels(labels.tolist())]
    moved = random.random(MENTIONS) < 0.2
    labels[moved] = random.integers(0, MENTIONS // 2, moved.sum())
    predicted = [[spans[i] for i in chain] for chain in chains_from_labels(labels.tolist())]
    # As hard to compress as a photograph.
    coarse = random.integers(0, 256, (_SIZE[1] // 8, _SIZE[0] // 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(_SIZE, Image.Resampling.BICUBIC)
    return PageText(
        name,
        text,
        PageAnnotation(predicted, _make_boxes(spans, random, score=0.5)),
        PageAnnotation(gold, _make_boxes(spans, random, score=None)),
        [PageImage(_SIZE, image_uri(image))],
        errors=find_errors({name: text}, {name: gold}, {name: predicted}).found,
    )


def _make_boxes(
    spans: Sequence[tuple[int, int]], random: np.random.Generator, score: float | None
) -> dict[tuple[int, int], list[PageBox]]:
    corners = np.sort(random.random((len(spans), 2, 2)), axis=1).reshape(-1, 4).tolist()
    return {
        span: [PageBox((x1, y1, x2, y2), score=score)]
        for span, (x1, y1, x2, y2) in zip(spans, corners, strict=True)
    }


if __name__ == "__main__":
    run_command(main)

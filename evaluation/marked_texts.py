"""Texts with their chains marked, for the terminal."""

from __future__ import annotations

import sys

from evaluation.gold_and_system import GoldAndSystem
from metrics.error_analysis.errors import Errors
from metrics.error_analysis.marked_text import uses_colour
from metrics.error_analysis.report import format_examples, format_text
from utils.printable import escape_unprintable


def examples_of_errors(sides: GoldAndSystem, errors: Errors, most: int) -> str:
    """Return some of the errors of every sort with the text around them."""
    chains = sides.gold_span_chains, sides.system_span_chains
    colour = uses_colour(sys.stdout)
    return format_examples(errors, sides.texts, *chains, examples=most, colour=colour)


def print_texts(sides: GoldAndSystem, most: int) -> None:
    """Print narrations with their chains marked, the gold ones beneath where they are known."""
    colour = uses_colour(sys.stdout)
    for narration in sides.narrations[:most]:
        system = sides.system_span_chains[narration.id]
        gold = sides.gold_span_chains[narration.id] if sides.gold.get(narration.id) else None
        print(f"\n{escape_unprintable(narration.id)}")
        print(format_text(narration.text, system, gold, colour=colour))
    print()

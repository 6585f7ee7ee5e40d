"""The errors of a system as text: a table of the sorts, and examples in their context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metrics.chains import Chains
from metrics.error_analysis.errors import (
    LINK_SORTS,
    SORTS,
    WRONG_BOXES,
    Error,
    Errors,
)
from metrics.error_analysis.marked_text import (
    labelled_lines,
    marked_text,
    numbered,
    numbered_alike,
    windows_around,
)
from utils.printable import escape_unprintable
from utils.text.spans import Span

TITLES = {
    "missed_links": "missed links",
    "wrong_links": "wrong links",
    "missed_mentions": "missed mentions",
    "extra_mentions": "extra mentions",
    "wrong_boundaries": "wrong boundaries",
    "split_chains": "split chains",
    "merged_chains": "merged chains",
    "missed_chains": "missed chains",
    "extra_chains": "extra chains",
    WRONG_BOXES: "wrong boxes",
}
_CONTEXT = 60  # characters on either side of a mention
_MOST_MENTIONS = 4  # that an example shows of a chain
_LONGEST_PHRASE = 40  # characters


def format_errors(errors: Errors) -> str:
    """Return a table: for every sort and kind how many could be wrong, how many are, the share.

    Where any link is undetected (no other link could have mended it), links have a column more.
    """
    undetected = any(errors.count(sort).undetected for sort in LINK_SORTS)
    heading = f"{'errors':22}{'of':>8}{'wrong':>8}{'share':>9}"
    lines = [heading + (f"{'undetected':>12}" if undetected else "")]
    for sort, kinds in SORTS.items():
        lines.append(_row(errors, sort, "", undetected))
        if errors.of(sort):
            lines += [_row(errors, sort, kind, undetected) for kind in kinds]
    return "\n".join(lines)


def _row(errors: Errors, sort: str, kind: str, undetected: bool) -> str:
    count = errors.count(sort, kind)
    title = f"  {kind}" if kind else TITLES[sort]
    share = f"{100 * count.wrong / count.of:7.1f} %" if count.of else f"{'-':>9}"
    last = f"{count.undetected:>12}" if undetected and sort in LINK_SORTS else ""
    return f"{title:22}{count.of:>8}{count.wrong:>8}{share}{last}"


def format_examples(
    errors: Errors,
    texts: Mapping[str, str],
    gold: Mapping[str, Chains[Span]],
    system: Mapping[str, Chains[Span]],
    *,
    examples: int,
    colour: bool,
) -> str:
    """Return some errors of every sort and kind, spread evenly over all of them.

    Args:
        errors: what `find_errors` found in the texts and chains.
        texts: of the documents, by id.
        gold: the chains of the same documents: spans of characters, the end exclusive.
        system: likewise.
        examples: the largest number of each kind.
        colour: whether each chain gets a colour, by terminal codes.
    """
    blocks = []
    for sort, kinds in SORTS.items():
        for kind in kinds or ("",):
            chosen = _spread(errors.of(sort, kind), examples)
            if not chosen:
                continue
            count = errors.count(sort, kind)
            title = ", ".join(filter(None, (TITLES[sort], kind)))
            blocks.append(f"{title}: {count.wrong} of {count.of}")
            for error in chosen:
                name = error.document
                blocks.append(_example(error, texts[name], gold[name], system[name], colour))
    return "\n\n".join(blocks)


def format_text(text: str, system: Chains[Span], gold: Chains[Span] | None, *, colour: bool) -> str:
    """Return a text with the system's chains marked, and beneath with the gold ones if known.

    A gold chain has the number of the system's chain that it shares most mentions with.
    """
    system_chains = numbered(system)
    lines = {"predicted": marked_text(text, system_chains, colour=colour)}
    if gold is not None:
        lines["gold"] = marked_text(text, numbered_alike(gold, system_chains), colour=colour)
    return labelled_lines(lines, indent=2)


def _spread(errors: Sequence[Error], most: int) -> list[Error]:
    """Choose at most so many errors: the middle one of each of as many equal parts."""
    shown = min(most, len(errors))
    return [errors[(2 * index + 1) * len(errors) // (2 * shown)] for index in range(shown)]


def _example(
    error: Error, text: str, gold: Chains[Span], system: Chains[Span], colour: bool
) -> str:
    """Return what is wrong, and its context with the chains concerned, on both sides."""
    system_chains = numbered(system)
    sides = {"predicted": system_chains, "gold": numbered_alike(gold, system_chains)}
    shown = error.spans[:_MOST_MENTIONS]
    about = {
        number
        for side in sides.values()
        for number, chain in side.items()
        if not set(shown).isdisjoint(chain)
    }
    windows = windows_around(text, shown, _CONTEXT)
    lines = {
        name: marked_text(
            text,
            {number: chain for number, chain in side.items() if number in about},
            windows=windows,
            pointed_at=shown,
            colour=colour,
        )
        for name, side in sides.items()
    }
    title = f"  {escape_unprintable(error.document)}: {describe_error(error, text)}"
    return f"{title}\n{labelled_lines(lines, indent=4)}"


def describe_error(error: Error, text: str) -> str:
    """Say in a few words what is wrong; the text is that of the error's document."""
    phrases = [_quoted(text, span) for span in error.spans[:_MOST_MENTIONS]]
    first, *others = phrases
    if error.sort == "missed_links":
        told = f"{first} is not linked to {others[0]}"
    elif error.sort == "wrong_links":
        told = f"{first} is linked to {others[0]}"
    elif error.sort == "wrong_boundaries":
        told = f"{others[0]} in place of {first}"
    else:
        more = ", …" if len(error.spans) > len(phrases) else ""
        told = ", ".join(phrases) + more
    return told


def _quoted(text: str, span: Span) -> str:
    phrase = escape_unprintable(text[slice(*span)])
    if len(phrase) > _LONGEST_PHRASE:
        phrase = f"{phrase[: _LONGEST_PHRASE - 1]}…"
    return f'"{phrase}"'

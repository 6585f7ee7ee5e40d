"""One table of what was measured: a model beside rules, the text alone, and the oracle.

It reads the files that `test_coref.py --json` and `test_grounding.py --json` write.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.distributed.command import run_command
from utils.json_files import read_json
from utils.options import command_parser

_COLUMNS = ("CoNLL", "MUC", "B3", "CEAFe", "LEA", "pronouns", "picture")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = command_parser("One table of coreference and grounding scores.")
    parser.add_argument("--coref", type=Path, required=True, help="what test_coref.py --json wrote")
    parser.add_argument("--text-only", type=Path, help="the same of a model without pictures")
    parser.add_argument(
        "--grounding", type=Path, required=True, help="what test_grounding.py --json wrote"
    )
    options = parser.parse_args(arguments)
    coreference, grounding = read_json(options.coref), read_json(options.grounding)
    text_only = read_json(options.text_only) if options.text_only else None
    print("\n" + format_coreference(coreference, text_only))
    print("\n" + format_grounding(grounding))


def format_coreference(model: dict[str, Any], text_only: dict[str, Any] | None) -> str:
    """Format pooled F1 with gold mentions and singletons, and F1 of the links of pronouns."""
    rows: list[tuple[str, list[float | None]]] = [
        (f"rule: {name}", [conll]) for name, conll in model["rules"].items()
    ]
    for name, scores in (("text alone", text_only), ("text and picture", model)):
        if scores is not None:
            rows.append((name, _coreference_row(scores)))
    title = f"coreference, {model['documents']} narrations, gold mentions, pooled F1"
    return _table(title, _COLUMNS, rows)


def format_grounding(scores: dict[str, Any]) -> str:
    """Format the percent of mentions whose box is right at an IoU of 0.5."""
    rows: list[tuple[str, list[float | None]]] = [
        ("a random region", [scores["random"]]),
        ("this model", [scores["overall"], scores["nouns"], scores["pronouns"]]),
        ("oracle: the best region", [scores["oracle"]]),
    ]
    title = f"grounding, {scores['mentions']} gold mentions with a box, percent right"
    return _table(title, ("overall", "nouns", "pronouns"), rows)


def _coreference_row(scores: dict[str, Any]) -> list[float | None]:
    pooled, links = scores["pooled"], scores["links"]
    row: list[float | None] = [pooled["conll"]]
    row += [pooled[name]["f1"] for name in ("muc", "b3", "ceafe", "lea")]
    return row + [links.get(name, {}).get("f1") for name in ("pronouns", "kind: picture")]


def _table(
    title: str, columns: Sequence[str], rows: Sequence[tuple[str, list[float | None]]]
) -> str:
    width = max(len(name) for name, _ in rows)
    lines = [title, " " * width + "".join(f"{column:>10}" for column in columns)]
    for name, values in rows:
        shown = ["" if value is None else f"{value:.1f}" for value in values]
        lines.append(f"{name:{width}}" + "".join(f"{value:>10}" for value in shown))
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)

"""Resolve the coreference of a split with a trained model: chain files and scores.

The published command:

    python test_coref.py --bbox-reg --use-phrase-mask --model_config configs/mcr_config.json
        --save_name saved/final_model/models_17.pt
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.narration import Narration, counted_mentions
from engine import ResolvedSplit, gold_chains, resolve_split, resolver_for_test, system_chains
from evaluation.baselines import RULES
from evaluation.chain_files import ids_scorch_confuses, write_chains, write_gold
from evaluation.coreference_scores import (
    Chains,
    CoreferenceScores,
    LinkScores,
    format_scores,
    link_scores,
    score_chains,
)
from evaluation.grounding_scores import PRONOUNS
from utils.device import choose_device
from utils.distributed import process_group
from utils.errors import InputError, run_command
from utils.files import write_text
from utils.options import add_data_options, add_test_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Resolve, write chain files, score."""
    parser = argparse.ArgumentParser(description="Coreference of a split with a trained model.")
    add_data_options(parser)
    add_test_options(parser)
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    with process_group(device):
        resolver = resolver_for_test(options, device)
        split = resolve_split(resolver, options)
        if split is not None:
            write_and_score(split, resolver.threshold, options)


def write_and_score(split: ResolvedSplit, threshold: float, options: argparse.Namespace) -> None:
    """Write the chain files of a resolved split, and print and write their scores."""
    narrations = [resolution.narration for resolution in split.resolutions]
    phrases = {n.id: counted_phrases(n, split.boxes_known) for n in narrations}
    system = system_chains(split.resolutions, boxes_known=split.boxes_known, threshold=threshold)
    system_folder = options.output / "modelrefs" / split.name
    for document, chains in system.items():
        write_chains(system_folder, document, phrases[document], chains)
    print(f"wrote {len(system)} chain files to {system_folder}")
    report_strangers(system_folder, system)

    # scorch wants a gold file beside each file of the system, so one without mentions counts too.
    labelled = [n for n in narrations if all(m.chain is not None for m in n.mentions)]
    if not any(narration.mentions for narration in labelled):
        if options.json is not None:
            raise InputError(f"--json: {split.name} has no gold chains, so there are no scores")
        print(f"{split.name} has no gold chains: nothing to score")
        return
    gold = gold_chains(labelled, boxes_known=split.boxes_known)
    write_gold_files(options.output / "gold_count" / split.name, gold, phrases)
    system = {document: system[document] for document in gold}
    scores = score_chains(gold, system, also_without_singletons=True)
    rules = rule_scores(gold, phrases)
    links = link_scores_by_kind(gold, system, labelled, split.boxes_known)
    print(f"\ngold mentions, threshold {threshold:.2f}, singletons count at first\n")
    print(format_scores(scores))
    print("\n" + format_rules(scores, rules))
    print("\n" + format_links(links))
    if options.json is not None:
        content = {
            **scores.to_json(),
            "threshold": threshold,
            "rules": {name: 100 * value for name, value in rules.items()},
            "links": {name: value.to_json() for name, value in links.items()},
        }
        write_text(options.json, json.dumps(content, indent=2) + "\n")
        print(f"\nwrote the scores to {options.json}")


def counted_phrases(narration: Narration, boxes_known: bool) -> list[str]:
    """The words of the mentions that count, in text order."""
    counted = counted_mentions(narration, boxes_known=boxes_known)
    return [narration.mentions[index].phrase for index in counted]


def write_gold_files(
    folder: Path, gold: Mapping[str, Chains], phrases: Mapping[str, Sequence[str]]
) -> None:
    """Write the gold chain files that are not there yet; say where existing ones differ."""
    files = [write_gold(folder, document, phrases[document], gold[document]) for document in gold]
    written = sum(file.status == "written" for file in files)
    different = [file for file in files if file.status == "differs"]
    print(f"gold in {folder}: {written} files written, {len(files) - written} there already")
    for file in different[:5]:
        print(f"warning: {file.describe()}")
    if different:
        print(
            f"warning: {len(different)} gold files differ from the annotations and were left as "
            "they are; the scores below are against the annotations, and scorch will give others; "
            "--output names a new folder"
        )


def report_strangers(folder: Path, written: Mapping[str, Chains]) -> None:
    """Say what scorch would get wrong about a folder of chain files."""
    strangers = {path.stem for path in folder.glob("*.json")} - set(written)
    if strangers:
        print(
            f"warning: {len(strangers)} chain files of other narrations lie in {folder}: what "
            "scores the folder as a whole, as scorch does, is wrong; --output names a new one"
        )
    confused = ids_scorch_confuses(list(written))
    if confused:
        print(
            f"warning: scorch finds gold files by the beginning of their name and may take that of "
            f"another narration for {len(confused)} ids ({confused[0]!r} is one)"
        )


def rule_scores(
    gold: Mapping[str, Chains], phrases: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Pooled CoNLL F1 of the rules that look at the words of the mentions alone."""
    return {
        name: score_chains(gold, {d: rule(phrases[d]) for d in gold}).pooled.conll
        for name, rule in RULES.items()
    }


def link_scores_by_kind(
    gold: Mapping[str, Chains],
    system: Mapping[str, Chains],
    narrations: Sequence[Narration],
    boxes_known: bool,
) -> dict[str, LinkScores]:
    """Scores of the links of pronouns, and of every kind of mention that the data set names."""
    chosen: dict[str, dict[str, list[int]]] = {"pronouns": {}}
    for narration in narrations:
        counted = counted_mentions(narration, boxes_known=boxes_known)
        for place, mention in enumerate(narration.mentions[index] for index in counted):
            if mention.phrase.strip().lower() in PRONOUNS:
                chosen["pronouns"].setdefault(narration.id, []).append(place)
            if mention.kind is not None:
                of_kind = chosen.setdefault(f"kind: {mention.kind}", {})
                of_kind.setdefault(narration.id, []).append(place)
    return {name: link_scores(gold, system, mentions) for name, mentions in chosen.items()}


def format_rules(scores: CoreferenceScores, rules: Mapping[str, float]) -> str:
    """The rules' pooled CoNLL F1 beside the model's."""
    rows = {**rules, "this model": scores.pooled.conll}
    width = max(map(len, rows))
    lines = [f"{'pooled CoNLL F1, singletons count':{width}}"]
    return "\n".join(lines + [f"  {name:{width}} {100 * rows[name]:8.2f}" for name in rows])


def format_links(links: Mapping[str, LinkScores]) -> str:
    """How well the links of some mentions are found, a row for each choice of mentions."""
    rows: list[tuple[str, Any]] = [(name, score) for name, score in links.items() if score.score]
    width = max([len("links of"), *(len(name) for name, _ in rows)])
    lines = [f"{'links of':{width}}{'mentions':>10}{'R':>8}{'P':>8}{'F1':>8}"]
    for name, score in rows:
        values = "".join(f"{value:8.2f}" for value in score.score.to_json().values())
        lines.append(f"{name:{width}}{score.mentions:>10}{values}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)

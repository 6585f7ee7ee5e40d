"""Resolve the coreference of a split with a trained model: chain files and scores.

The published command:

    python test_coref.py --bbox-reg --use-phrase-mask --model_config configs/mcr_config.json
        --save_name saved/final_model/models_17.pt
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.conll_documents import cuts_words, document_of
from data.narration import Narration, counted_mentions
from data.readers import read_pronouns
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
from evaluation.error_report import format_errors, format_examples, format_text
from evaluation.errors import Errors, SpanChains, find_errors
from evaluation.marked_text import uses_colour, visible
from evaluation.pronoun_scores import PronounScores, score_pronouns
from utils.conll import ConllDocument, crossing_pairs, write_documents
from utils.device import choose_device
from utils.distributed import process_group
from utils.errors import InputError, run_command
from utils.files import write_text
from utils.languages import Language
from utils.options import add_data_options, add_test_options, whole_number_from


def main(arguments: Sequence[str] | None = None) -> None:
    """Resolve, write chain files, score."""
    parser = argparse.ArgumentParser(description="Coreference of a split with a trained model.")
    add_data_options(parser)
    add_test_options(parser)
    parser.add_argument(
        "--conll",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="write key.conll and response.conll, for the official scorers",
    )
    parser.add_argument(
        "--errors",
        type=whole_number_from(0),
        nargs="?",
        const=5,
        metavar="N",
        help="count what is wrong by sorts, with N examples of each (5 where N is not given)",
    )
    parser.add_argument(
        "--texts",
        type=whole_number_from(1),
        nargs="?",
        const=10,
        metavar="N",
        help="print the first N texts (10 where N is not given) with their chains marked",
    )
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

    if options.texts is not None:
        print_texts(narrations[: options.texts], system, split.boxes_known)

    # scorch wants a gold file beside each file of the system, so one without mentions counts too.
    labelled = [n for n in narrations if all(m.chain is not None for m in n.mentions)]
    if not any(narration.mentions for narration in labelled):
        for name in ("json", "errors"):
            if getattr(options, name) is not None:
                raise InputError(f"--{name}: {split.name} has no gold chains to compare with")
        if options.conll is not None:
            write_conll_files(options.conll, narrations, {"response": system}, split.boxes_known)
        print(f"{split.name} has no gold chains: nothing to score")
        return
    gold = gold_chains(labelled, boxes_known=split.boxes_known)
    write_gold_files(options.output / "gold_count" / split.name, gold, phrases)
    system = {document: system[document] for document in gold}
    if options.conll is not None:
        sides = {"key": gold, "response": system}
        write_conll_files(options.conll, labelled, sides, split.boxes_known)
    scores = score_chains(gold, system, also_without_singletons=True)
    rules = rule_scores(gold, phrases, split.language)
    links = link_scores_by_kind(gold, system, labelled, split)
    print(f"\ngold mentions, threshold {threshold:.2f}, singletons count at first\n")
    print(format_scores(scores))
    print("\n" + format_rules(scores, rules))
    print("\n" + format_links(links))
    resolved = pronoun_scores(split, labelled, system, options.skip_bad_records)
    if resolved is not None:
        print("\n" + format_links(resolved.rows()))
    found = None
    if options.errors is not None:
        found = print_errors(labelled, gold, system, split, options.errors)
    if options.json is not None:
        content = {
            **scores.to_json(),
            "threshold": threshold,
            "rules": {name: 100 * value for name, value in rules.items()},
            "links": {name: value.to_json() for name, value in links.items()},
        }
        if resolved is not None:
            content["pronoun_resolution"] = resolved.to_json()
        if found is not None:
            content["errors"] = found.to_json()
        write_text(options.json, json.dumps(content, indent=2) + "\n")
        print(f"\nwrote the scores to {options.json}")


def counted_phrases(narration: Narration, boxes_known: bool) -> list[str]:
    """The words of the mentions that count, in text order."""
    counted = counted_mentions(narration, boxes_known=boxes_known)
    return [narration.mentions[index].phrase for index in counted]


def print_texts(
    narrations: Sequence[Narration], system: Mapping[str, Chains], boxes_known: bool
) -> None:
    """Print narrations with their chains marked, the gold ones beneath where they are known."""
    labelled = [narration for narration in narrations if narration.is_labelled]
    gold = span_chains(labelled, gold_chains(labelled, boxes_known=boxes_known), boxes_known)
    predicted = span_chains(narrations, system, boxes_known)
    colour = uses_colour(sys.stdout)
    for narration in narrations:
        chains = predicted[narration.id], gold.get(narration.id)
        print(f"\n{visible(narration.id)}")
        print(format_text(narration.text, *chains, colour=colour))
    print()


def print_errors(
    narrations: Sequence[Narration],
    gold: Mapping[str, Chains],
    system: Mapping[str, Chains],
    split: ResolvedSplit,
    examples: int,
) -> Errors:
    """Print how many errors of each sort there are and some of them; returns them all."""
    texts = {narration.id: narration.text for narration in narrations}
    sides = [span_chains(narrations, chains, split.boxes_known) for chains in (gold, system)]
    errors = find_errors(texts, *sides, split.language)
    print("\n" + format_errors(errors))
    if errors.found and examples:
        colour = uses_colour(sys.stdout)
        print("\n" + format_examples(errors, texts, *sides, examples=examples, colour=colour))
    return errors


def span_chains(
    narrations: Sequence[Narration], chains: Mapping[str, Chains], boxes_known: bool
) -> dict[str, SpanChains]:
    """The chains of narrations over the characters of their counted mentions.

    Of mentions with the same characters the first one alone is there.
    """
    found = {}
    for narration in narrations:
        counted = counted_mentions(narration, boxes_known=boxes_known)
        spans = [(narration.mentions[i].start, narration.mentions[i].end) for i in counted]
        first = {span: place for place, span in reversed(list(enumerate(spans)))}
        kept = ([spans[m] for m in c if first[spans[m]] == m] for c in chains[narration.id])
        found[narration.id] = [chain for chain in kept if chain]
    return found


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


def write_conll_files(
    folder: Path,
    narrations: Sequence[Narration],
    sides: Mapping[str, Mapping[str, Chains]],
    boxes_known: bool,
) -> None:
    """Write a CoNLL-2012 file of each side's chains; say what the format cannot hold of them.

    Args:
        sides: chains over the counted mentions of every narration, by the name of the file.
    """
    counted = []
    for narration in narrations:
        indices = counted_mentions(narration, boxes_known=boxes_known)
        mentions = tuple(narration.mentions[index] for index in indices)
        counted.append(replace(narration, mentions=mentions))
    for side, chains in sides.items():
        path = folder / f"{side}.conll"
        documents = [document_of(narration, chains[narration.id]) for narration in counted]
        write_documents(path, documents)
        print(f"wrote {len(documents)} documents to {path}")
        for what, count in conll_losses(counted, documents).items():
            if count:
                print(f"warning: {path}: {count} {what}")


def conll_losses(
    narrations: Sequence[Narration], documents: Sequence[ConllDocument]
) -> dict[str, int]:
    """How often a file of the documents says something else than the narrations' chains."""
    spans = [[span for chain in document.chains for span in chain] for document in documents]
    mentions, touching = sum(len(n.mentions) for n in narrations), sum(map(len, spans))
    distinct = sum(len(set(of_document)) for of_document in spans)
    return {
        "mentions begin or end within a word and got all of it": sum(map(cuts_words, narrations)),
        "mentions touch no word and are left out": mentions - touching,
        "mentions have the words of an earlier one, which alone is scored": touching - distinct,
        "pairs of mentions of a chain cross and are read as nested": sum(
            map(crossing_pairs, documents)
        ),
    }


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
    gold: Mapping[str, Chains], phrases: Mapping[str, Sequence[str]], language: Language
) -> dict[str, float]:
    """Pooled CoNLL F1 of the rules that look at the words of the mentions alone."""
    return {
        name: score_chains(gold, {d: rule(phrases[d], language) for d in gold}).pooled.conll
        for name, rule in RULES.items()
    }


def link_scores_by_kind(
    gold: Mapping[str, Chains],
    system: Mapping[str, Chains],
    narrations: Sequence[Narration],
    split: ResolvedSplit,
) -> dict[str, LinkScores]:
    """Scores of the links of pronouns, and of every kind of mention that the data set names."""
    chosen: dict[str, dict[str, list[int]]] = {"pronouns": {}}
    for narration in narrations:
        counted = counted_mentions(narration, boxes_known=split.boxes_known)
        for place, mention in enumerate(narration.mentions[index] for index in counted):
            if mention.phrase.strip().lower() in split.language.referring_pronouns:
                chosen["pronouns"].setdefault(narration.id, []).append(place)
            if mention.kind is not None:
                of_kind = chosen.setdefault(f"kind: {mention.kind}", {})
                of_kind.setdefault(narration.id, []).append(place)
    return {name: link_scores(gold, system, mentions) for name, mentions in chosen.items()}


def pronoun_scores(
    split: ResolvedSplit,
    narrations: Sequence[Narration],
    system: Mapping[str, Chains],
    skip_bad_records: bool,
) -> PronounScores | None:
    """How well annotated pronouns are resolved; None where the data set has no such annotation."""
    pronouns = read_pronouns(
        split.dataset, split.data_root, split.name, skip_bad_records=skip_bad_records
    )
    if not pronouns:
        return None
    chains = {}
    for narration in narrations:
        counted = counted_mentions(narration, boxes_known=split.boxes_known)
        spans = [(narration.mentions[i].start, narration.mentions[i].end) for i in counted]
        chains[narration.id] = [[spans[place] for place in c] for c in system[narration.id]]
    known = {document: pronouns[document] for document in chains if document in pronouns}
    return score_pronouns(known, {n.id: n.text for n in narrations}, chains)


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

"""Resolve the coreference of a split with a trained model: chain files and scores.

The published command:

    python test_coref.py --bbox-reg --use-phrase-mask --model_config configs/mcr_config.json
        --save_name saved/final_model/models_17.pt
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.loading.loader import workers_explained
from data.narration import Narration, counted_mentions
from data.readers import dataset_reader
from data.writers.conll import cuts_words, document_of
from evaluation.gold_and_system import (
    Compared,
    compared,
    span_chains,
)
from inference.resolver import Resolver
from inference.split_predictions import (
    ResolvedSplit,
    resolve_split,
    resolver_for_test,
)
from metrics.baselines import RULES
from metrics.chain_files import (
    ids_scorch_confuses,
    write_chains,
    write_gold,
)
from metrics.chains import Chains, restrict
from metrics.coreference_scores import (
    CoreferenceScores,
    LinkScores,
    MetricScores,
    format_scores,
    link_scores,
    score_chains,
)
from metrics.error_analysis.errors import Errors, find_errors
from metrics.error_analysis.marked_text import uses_colour
from metrics.error_analysis.report import (
    format_errors,
    format_examples,
    format_text,
)
from metrics.mention_scores import (
    MentionScoresByKind,
    format_mention_scores,
    score_mentions,
)
from metrics.pronoun_scores import PronounScores, score_pronouns
from utils.device import choose_device
from utils.distributed.command import run_command
from utils.distributed.ranks import process_group
from utils.errors import InputError
from utils.files import write_text
from utils.options import add_data_options, add_test_options, command_parser, whole_number_from
from utils.printable import escape_unprintable
from utils.text.conll import (
    ConllDocument,
    crossing_pairs,
    write_documents,
)
from utils.text.languages import Language
from visualization.split_page import page_title, write_page


def main(arguments: Sequence[str] | None = None) -> None:
    """Resolve, write chain files, score."""
    parser = command_parser("Coreference of a split with a trained model.")
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
    parser.add_argument(
        "--singletons",
        choices=("keep", "drop"),
        default="keep",
        help="drop: chains of one mention are neither written nor scored, gold or predicted",
    )
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    with process_group(device), workers_explained():
        resolver = resolver_for_test(options, device)
        split = resolve_split(resolver, options)
        if split is not None:
            write_and_score(split, resolver, options)


def write_and_score(split: ResolvedSplit, resolver: Resolver, options: argparse.Namespace) -> None:
    """Write the chain files of a resolved split, and print and write their scores."""
    threshold = resolver.thresholds.link
    sides = compared(split, threshold)
    phrases, boxes_known = sides.phrases, sides.boxes_known
    shortest = 2 if options.singletons == "drop" else 1
    gold, system = chains_from(sides.gold, shortest), chains_from(sides.system, shortest)
    folder = split.folder if shortest == 1 else f"{split.folder}-without-singletons"
    system_folder = options.output / "modelrefs" / folder
    for document, chains in sides.named(system).items():
        write_chains(system_folder, document, chains)
    print(f"wrote {len(system)} chain files to {system_folder}")
    report_strangers(system_folder, system)

    if options.texts is not None:
        print_texts(sides, gold, system, options.texts)

    labelled = [narration for narration in sides.narrations if narration.id in gold]
    if not any(gold.values()):
        for name in ("json", "errors"):
            if getattr(options, name) is not None:
                raise InputError(f"--{name}: {split.name} has no gold chains to compare with")
        if options.conll is not None:
            write_conll_files(options.conll, sides.narrations, {"response": system}, boxes_known)
        if options.page is not None:
            write_coref_page(options, split, replace(sides, gold={}, system=system), resolver)
        print(f"{split.name} has no gold chains: nothing to score")
        return
    write_gold_files(options.output / "gold_count" / folder, sides.named(gold))
    of_page = replace(sides, gold=gold, system=system)
    system = {document: system[document] for document in gold}
    if options.conll is not None:
        conll_sides = {"key": gold, "response": system}
        write_conll_files(options.conll, labelled, conll_sides, boxes_known)
    scores = score_chains(gold, system, also_without_singletons=shortest == 1)
    rules = rule_scores(gold, sides.system, phrases, shortest, split.language)
    links = link_scores_by_kind(gold, system, labelled, boxes_known, split.language)
    singletons = "singletons count at first" if shortest == 1 else "singletons are left out"
    print(f"\n{split.mentions} mentions, threshold {threshold:.2f}, {singletons}\n")
    print(format_scores(scores))
    print("\n" + format_rules(scores, rules))
    print("\n" + format_links(links))
    resolved = pronoun_scores(split, labelled, system, boxes_known, options.skip_bad_records)
    if resolved is not None:
        print("\n" + format_links(resolved.rows()))
    found = None
    if split.mentions != "gold":
        found = found_mention_scores(labelled, gold, system, split.language)
        print("\n" + format_mention_scores(found))
    errors = None
    if options.errors is not None:
        errors = print_errors(labelled, gold, system, split.language, boxes_known, options.errors)
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
            content["mentions"] = found.to_json()
        if errors is not None:
            content["errors"] = errors.to_json()
        write_text(options.json, json.dumps(content, indent=2) + "\n")
        print(f"\nwrote the scores to {options.json}")
    if options.page is not None:
        write_coref_page(options, split, of_page, resolver, scores.pooled)


def chains_from(chains: Mapping[str, Chains[int]], shortest: int) -> dict[str, Chains[int]]:
    """The chains of each document that have as many mentions."""
    return {
        document: [chain for chain in of_document if len(chain) >= shortest]
        for document, of_document in chains.items()
    }


def found_mention_scores(
    narrations: Sequence[Narration],
    gold: Mapping[str, Chains[int]],
    system: Mapping[str, Chains[int]],
    language: Language,
) -> MentionScoresByKind:
    """How well the mentions of the gold chains are found, by the mentions of the system's."""
    of_sides = (
        {
            document: list(itertools.chain.from_iterable(of_document))
            for document, of_document in span_chains(narrations, chains, boxes_known=False).items()
        }
        for chains in (gold, system)
    )
    texts = {narration.id: narration.text for narration in narrations}
    return score_mentions(*of_sides, texts, set(language.pronouns))


def print_texts(
    sides: Compared, gold: Mapping[str, Chains[int]], system: Mapping[str, Chains[int]], most: int
) -> None:
    """Print narrations with their chains marked, the gold ones beneath where they are known."""
    shown = sides.narrations[:most]
    labelled = [narration for narration in shown if gold.get(narration.id)]
    known = span_chains(labelled, gold, sides.boxes_known)
    predicted = span_chains(shown, system, sides.boxes_known)
    colour = uses_colour(sys.stdout)
    for narration in shown:
        chains = predicted[narration.id], known.get(narration.id)
        print(f"\n{escape_unprintable(narration.id)}")
        print(format_text(narration.text, *chains, colour=colour))
    print()


def write_coref_page(
    options: argparse.Namespace,
    split: ResolvedSplit,
    sides: Compared,
    resolver: Resolver,
    pooled: MetricScores | None = None,
) -> None:
    """Write the page of the chains and of what is wrong with them; boxes if the model grounds.

    Args:
        sides: the chains to show.
        pooled: their scores; None where there are no gold chains.
    """
    labelled = [narration for narration in sides.narrations if narration.id in sides.gold]
    chains = (span_chains(labelled, side, sides.boxes_known) for side in (sides.gold, sides.system))
    errors = find_errors({n.id: n.text for n in labelled}, *chains, split.language)
    scores = {}
    if pooled is not None:
        scores = {"CoNLL F1": pooled.conll, "MUC": pooled.muc.f1, "B3": pooled.b3.f1}
        scores |= {"CEAFe": pooled.ceafe.f1, "LEA": pooled.lea.f1}
    scores_of = {
        document: {"CoNLL F1": 100 * conll_of(sides.gold[document], sides.system[document])}
        for document in sides.gold
    }
    grounds = resolver.config.grounding or resolver.config.use_traces
    write_page(
        options,
        split,
        sides,
        title=page_title("Coreference", split, options),
        errors=errors.found,
        scores={name: 100 * score for name, score in scores.items()},
        scores_of=scores_of,
        has_boxes=grounds and any(r.boxes_xyxy is not None for r in split.resolutions),
    )


def conll_of(gold: Chains[int], system: Chains[int]) -> float:
    """The CoNLL F1 of one narration, from 0 to 1."""
    return score_chains({"": gold}, {"": system}).pooled.conll


def print_errors(
    narrations: Sequence[Narration],
    gold: Mapping[str, Chains[int]],
    system: Mapping[str, Chains[int]],
    language: Language,
    boxes_known: bool,
    examples: int,
) -> Errors:
    """Print how many errors of each sort there are and some of them; returns them all."""
    texts = {narration.id: narration.text for narration in narrations}
    sides = [span_chains(narrations, chains, boxes_known) for chains in (gold, system)]
    errors = find_errors(texts, *sides, language)
    print("\n" + format_errors(errors))
    if errors.found and examples:
        colour = uses_colour(sys.stdout)
        print("\n" + format_examples(errors, texts, *sides, examples=examples, colour=colour))
    return errors


def write_gold_files(folder: Path, gold: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Write the gold chain files that are not there yet; say where existing ones differ."""
    files = [write_gold(folder, document, chains) for document, chains in gold.items()]
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
    sides: Mapping[str, Mapping[str, Chains[int]]],
    boxes_known: bool,
) -> None:
    """Write a CoNLL-2012 file of each side's chains; say what the format cannot hold of them.

    Args:
        sides: chains over the counted mentions of every narration, by the name of the file.
    """
    for side, chains in sides.items():
        path = folder / f"{side}.conll"
        with_own_mentions = [
            mentions_of_chains(narration, chains[narration.id], boxes_known)
            for narration in narrations
        ]
        documents = [document_of(narration, own) for narration, own in with_own_mentions]
        write_documents(path, documents)
        print(f"wrote {len(documents)} documents to {path}")
        for what, count in conll_losses([n for n, _ in with_own_mentions], documents).items():
            if count:
                print(f"warning: {path}: {count} {what}")


def mentions_of_chains(
    narration: Narration, chains: Chains[int], boxes_known: bool
) -> tuple[Narration, Chains[int]]:
    """A narration with no mentions but those of its chains, and the chains over these.

    Args:
        chains: over the counted mentions.
    """
    counted = counted_mentions(narration, boxes_known=boxes_known)
    kept = sorted(mention for chain in chains for mention in chain)
    mentions = tuple(narration.mentions[counted[index]] for index in kept)
    return replace(narration, mentions=mentions), restrict(chains, kept)


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


def report_strangers(folder: Path, written: Mapping[str, Chains[int]]) -> None:
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
    gold: Mapping[str, Chains[int]],
    system: Mapping[str, Chains[int]],
    phrases: Mapping[str, Sequence[str]],
    shortest: int,
    language: Language,
) -> dict[str, float]:
    """Pooled CoNLL F1 of the rules that look at the words of the mentions alone.

    Args:
        system: chains of the mentions that the rules are to resolve.
        phrases: of the counted mentions.
        shortest: how many mentions a chain has at least, to be scored.
        language: of the phrases.
    """
    scores = {}
    for name, rule in RULES.items():
        chains = {}
        for document in gold:
            given = sorted(mention for chain in system[document] for mention in chain)
            found = rule([phrases[document][mention] for mention in given], language)
            chains[document] = [[given[place] for place in chain] for chain in found]
        scores[name] = score_chains(gold, chains_from(chains, shortest)).pooled.conll
    return scores


def link_scores_by_kind(
    gold: Mapping[str, Chains[int]],
    system: Mapping[str, Chains[int]],
    narrations: Sequence[Narration],
    boxes_known: bool,
    language: Language,
) -> dict[str, LinkScores]:
    """Scores of the links of pronouns, and of every kind of mention that the data set names."""
    chosen: dict[str, dict[str, list[int]]] = {"pronouns": {}}
    for narration in narrations:
        counted = counted_mentions(narration, boxes_known=boxes_known)
        for place in sorted({m for side in (gold, system) for c in side[narration.id] for m in c}):
            mention = narration.mentions[counted[place]]
            if mention.phrase.strip().lower() in language.referring_pronouns:
                chosen["pronouns"].setdefault(narration.id, []).append(place)
            if mention.kind is not None:
                of_kind = chosen.setdefault(f"kind: {mention.kind}", {})
                of_kind.setdefault(narration.id, []).append(place)
    return {name: link_scores(gold, system, mentions) for name, mentions in chosen.items()}


def pronoun_scores(
    split: ResolvedSplit,
    narrations: Sequence[Narration],
    system: Mapping[str, Chains[int]],
    boxes_known: bool,
    skip_bad_records: bool,
) -> PronounScores | None:
    """How well annotated pronouns are resolved; None where the data set has no such annotation."""
    pronouns = dataset_reader(split.dataset).read_pronouns(
        split.data_root, split.name, skip_bad_records=skip_bad_records
    )
    if not pronouns:
        return None
    chains = span_chains(narrations, system, boxes_known)
    known = {document: pronouns[document] for document in chains if document in pronouns}
    return score_pronouns(known, {n.id: n.text for n in narrations}, chains)


def format_rules(scores: CoreferenceScores, rules: Mapping[str, float]) -> str:
    """The rules' pooled CoNLL F1 beside the model's."""
    rows = {**rules, "this model": scores.pooled.conll}
    width = max(map(len, rows))
    lines = [f"{'pooled CoNLL F1':{width}}"]
    return "\n".join(lines + [f"  {name:{width}} {100 * rows[name]:8.2f}" for name in rows])


def format_links(links: Mapping[str, LinkScores]) -> str:
    """How well the links of some mentions are found, a row for each choice of mentions."""
    rows: list[tuple[str, Any]]
    rows = [(escape_unprintable(name), score) for name, score in links.items() if score.score]
    width = max([len("links of"), *(len(name) for name, _ in rows)])
    lines = [f"{'links of':{width}}{'mentions':>10}{'R':>8}{'P':>8}{'F1':>8}"]
    for name, score in rows:
        values = "".join(f"{value:8.2f}" for value in score.score.to_json().values())
        lines.append(f"{name:{width}}{score.mentions:>10}{values}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)

"""The scores of a split's chains, and what they are read beside: rules, links, mentions, errors."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.readers import get_reader
from evaluation.corefud import CorefudReport, score_matched
from evaluation.gold_and_system import GoldAndSystem, without_singletons
from evaluation.split_subsets import score_subsets_of_split
from inference.split_predictions import SplitPredictions
from metrics.baselines import RULES
from metrics.certainty import Certainty
from metrics.chains import Chains
from metrics.coreference.certainty import estimate_chains, format_certainties
from metrics.coreference.links import LinkScores, link_scores
from metrics.coreference.scores import CoreferenceScores, score_chains
from metrics.coreference.tables import format_scores
from metrics.corefud.matching import Matching
from metrics.error_analysis.errors import Errors
from metrics.error_analysis.report import format_errors
from metrics.mention_scores import MentionScoresByKind, format_mention_scores, score_mentions
from metrics.pronoun_scores import PronounScores, score_pronouns
from metrics.subsets.scores import Criterion, SubsetScores
from utils.printable import escape_unprintable


@dataclass(frozen=True)
class CoreferenceReport:
    """All that is said of how well the chains of a split are found.

    Attributes:
        resolved: which mentions were linked, "gold" or where they were found.
        threshold: the similarity above which two mentions are linked.
        scores: of the chains.
        rules: CoNLL F1, from 0 to 1, of the rules that look at the words of the mentions alone.
        links: of the pronouns, and of every kind of mention that the data set names.
        pronouns: how well annotated pronouns are resolved; None where none are annotated.
        mentions: how well the mentions are found; None where they are the gold ones.
        errors: what is wrong; None where that was not asked for.
        certainty: of the pooled scores, by the fields of `CoreferenceScores`.
        subsets: the scores of subsets; None where none were asked for.
        corefud: scores with mentions matched as CorefUD does; None where that was not asked for.
    """

    resolved: str
    threshold: float
    scores: CoreferenceScores
    rules: Mapping[str, float]
    links: Mapping[str, LinkScores]
    pronouns: PronounScores | None
    mentions: MentionScoresByKind | None
    errors: Errors | None
    certainty: Mapping[str, Certainty]
    subsets: SubsetScores | None = None
    corefud: CorefudReport | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the scores in percent; docs/formats.md says which."""
        content = {
            **self.scores.to_json(),
            "threshold": self.threshold,
            "rules": {name: 100 * value for name, value in self.rules.items()},
            "links": {name: value.to_json() for name, value in self.links.items()},
            "certainty": {way: found.to_json() for way, found in self.certainty.items()},
        }
        further = {
            "pronoun_resolution": self.pronouns,
            "mentions": self.mentions,
            "errors": self.errors,
            "subsets": self.subsets,
            "corefud": self.corefud,
        }
        return content | {k: part.to_json() for k, part in further.items() if part is not None}

    def format(self) -> str:
        """Return tables to read, in percent."""
        left_out = self.scores.pooled_without_singletons is None
        singletons = "singletons are left out" if left_out else "singletons count at first"
        parts = [
            f"{self.resolved} mentions, threshold {self.threshold:.2f}, {singletons}",
            format_scores(self.scores),
            _format_rules(self.rules, self.scores.pooled.conll),
            _format_links(self.links),
        ]
        if self.pronouns is not None:
            parts.append(_format_links(self.pronouns.rows()))
        if self.mentions is not None:
            parts.append(format_mention_scores(self.mentions))
        if self.errors is not None:
            parts.append(format_errors(self.errors))
        parts.append(format_certainties(self.certainty))
        if self.subsets is not None:
            parts.append(self.subsets.format())
        if self.corefud is not None:
            parts.append(self.corefud.format())
        return "\n\n".join(parts)


def score_coreference(
    split: SplitPredictions,
    sides: GoldAndSystem,
    threshold: float,
    *,
    with_errors: bool,
    by: Sequence[Criterion] = (),
    matching: Matching | None = None,
) -> CoreferenceReport:
    """Score the chains of a split's labelled narrations.

    Args:
        sides: the split's, one of them labelled at least.
        threshold: the similarity that the system's chains were made with.
        with_errors: whether to sort what is wrong.
        by: what to split the scores by.
        matching: how mentions are matched for the scores of CorefUD; None for none of these.

    Raises:
        InputError: the annotated pronouns or the trees cannot be read, or no narration has a genre
            to split by.
    """
    sides = sides.labelled
    scores = score_chains(sides.gold, sides.system, also_without_singletons=sides.singletons)
    return CoreferenceReport(
        resolved=split.mentions,
        threshold=threshold,
        scores=scores,
        rules=_rule_scores(sides),
        links=_link_scores(sides),
        pronouns=_pronoun_scores(split, sides),
        mentions=None if split.mentions == "gold" else _mention_scores(sides),
        errors=sides.errors if with_errors else None,
        certainty=estimate_chains(
            sides.gold, sides.system, also_without_singletons=sides.singletons
        ),
        subsets=score_subsets_of_split(sides, by) if by else None,
        corefud=None if matching is None else score_matched(split, sides, matching),
    )


def rule_chains(sides: GoldAndSystem) -> dict[str, dict[str, Chains[int]]]:
    """Return the chains of each rule, which links the mentions that the system links.

    Args:
        sides: of labelled narrations.

    Returns:
        By the name of the rule, the chains of each narration.
    """
    chains: dict[str, dict[str, Chains[int]]] = {}
    for name, rule in RULES.items():
        of_rule: dict[str, Chains[int]] = {}
        for document in sides.gold:
            mentions, phrases = sides.resolved[document], sides.phrases[document]
            found = rule([phrases[mention] for mention in mentions], sides.language)
            of_rule[document] = [[mentions[place] for place in chain] for chain in found]
        chains[name] = of_rule if sides.singletons else without_singletons(of_rule)
    return chains


def _rule_scores(sides: GoldAndSystem) -> dict[str, float]:
    """Return the pooled CoNLL F1 of the rules."""
    return {
        name: score_chains(sides.gold, system).pooled.conll
        for name, system in rule_chains(sides).items()
    }


def _link_scores(sides: GoldAndSystem) -> dict[str, LinkScores]:
    """Score the links of pronouns, and of every kind of mention that the data set names."""
    chosen: dict[str, dict[str, list[int]]] = {"pronouns": {}}
    for narration in sides.narrations:
        chains = (*sides.gold[narration.id], *sides.system[narration.id])
        for index in sorted(set(itertools.chain.from_iterable(chains))):
            mention = narration.mentions[index]
            if mention.phrase.strip().lower() in sides.language.referring_pronouns:
                chosen["pronouns"].setdefault(narration.id, []).append(index)
            if mention.kind is not None:
                of_kind = chosen.setdefault(f"kind: {mention.kind}", {})
                of_kind.setdefault(narration.id, []).append(index)
    return {name: link_scores(sides.gold, sides.system, each) for name, each in chosen.items()}


def _pronoun_scores(split: SplitPredictions, sides: GoldAndSystem) -> PronounScores | None:
    """Score how annotated pronouns are resolved; None where the data set has none such."""
    pronouns = get_reader(split.dataset).read_pronouns(
        split.data_root, split.name, skip_bad_records=split.skip_bad_records
    )
    if not pronouns:
        return None
    chains = sides.system_span_chains
    known = {document: pronouns[document] for document in chains if document in pronouns}
    return score_pronouns(known, sides.texts, chains)


def _mention_scores(sides: GoldAndSystem) -> MentionScoresByKind:
    """Score the mentions of the system's chains against those of the gold chains."""
    gold, system = (
        {document: list(itertools.chain.from_iterable(chains)) for document, chains in side.items()}
        for side in (sides.gold_span_chains, sides.system_span_chains)
    )
    return score_mentions(gold, system, sides.texts, set(sides.language.pronouns))


def _format_rules(rules: Mapping[str, float], model: float) -> str:
    """Set the rules' pooled CoNLL F1 beside the model's."""
    rows = {**rules, "this model": model}
    width = max(map(len, rows))
    lines = [f"{'pooled CoNLL F1':{width}}"]
    return "\n".join(lines + [f"  {name:{width}} {100 * rows[name]:8.2f}" for name in rows])


def _format_links(links: Mapping[str, LinkScores]) -> str:
    """Show how well the links of some mentions are found, a row for each choice of mentions."""
    rows = [
        (escape_unprintable(name), score.mentions, score.score)
        for name, score in links.items()
        if score.score is not None
    ]
    width = max([len("links of"), *(len(name) for name, _, _ in rows)])
    lines = [f"{'links of':{width}}{'mentions':>10}{'R':>8}{'P':>8}{'F1':>8}"]
    for name, mentions, score in rows:
        values = "".join(f"{value:8.2f}" for value in score.to_json().values())
        lines.append(f"{name:{width}}{mentions:>10}{values}")
    return "\n".join(lines)

"""Sorts of errors: what must hold of any system, and what each of them means."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.chains import Chains
from metrics.coreference.pairs import ChainsError
from metrics.coreference.scores import score_chains
from metrics.error_analysis.errors import (
    LINK_SORTS,
    SORTS,
    Error,
    Errors,
    find_errors,
)
from metrics.error_analysis.report import (
    format_errors,
    format_examples,
    format_text,
)
from utils.text.spans import Span

TEXT = "a man pets a dog . it likes the man , who holds a ball . he throws it to the dog ."
WORDS = TEXT.split()
STARTS = [len(" ".join(WORDS[:index])) + bool(index) for index in range(len(WORDS))]
OPPOSITE = {
    "missed_links": "wrong_links",
    "missed_mentions": "extra_mentions",
    "split_chains": "merged_chains",
    "missed_chains": "extra_chains",
    "wrong_boundaries": "wrong_boundaries",
}
OPPOSITE |= {second: first for first, second in OPPOSITE.items()}


def span(phrase: str, occurrence: int = 0) -> Span:
    """The characters of some words of the text."""
    words = phrase.split()
    places = range(len(WORDS) - len(words) + 1)
    found = [i for i in places if WORDS[i : i + len(words)] == words][occurrence]
    return STARTS[found], STARTS[found] + len(phrase)


MAN, THE_MAN, WHO, HE = span("a man"), span("the man"), span("who"), span("he")
DOG, IT, THE_DOG = span("a dog"), span("it"), span("the dog")
BALL, SECOND_IT = span("a ball"), span("it", 1)
GOLD = [[MAN, THE_MAN, WHO, HE], [DOG, IT, THE_DOG], [BALL, SECOND_IT]]

# Stretches of a few words, each in one of four chains of either side, or in none (0).
_places = st.tuples(st.integers(0, len(WORDS) - 1), st.integers(1, 3))
_labels = st.integers(0, 4)
_mentions = st.dictionaries(_places, st.tuples(_labels, _labels), max_size=12)
_same_mentions = st.dictionaries(
    _places, st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=12
)


def sides(labels: dict[tuple[int, int], tuple[int, int]]) -> tuple[Chains[Span], Chains[Span]]:
    """Gold and system chains of labelled stretches, (first word, words)."""
    chains: list[dict[int, list[Span]]] = [{}, {}]
    for (first, count), of_sides in labels.items():
        end = min(first + count, len(WORDS))
        place = (STARTS[first], STARTS[end - 1] + len(WORDS[end - 1]))
        for side, label in zip(chains, of_sides, strict=True):
            if label and not any(place in chain for chain in side.values()):
                side.setdefault(label, []).append(place)
    return list(chains[0].values()), list(chains[1].values())


documents = _mentions.map(sides)
documents_with_the_same_mentions = _same_mentions.map(sides)


def errors_of(system: Chains[Span], gold: Chains[Span] = GOLD) -> Errors:
    return find_errors({"d": TEXT}, {"d": gold}, {"d": system})


def wrong(errors: Errors) -> dict[str, int]:
    """How many errors there are of every sort that has any."""
    return {sort: errors.count(sort).wrong for sort in SORTS if errors.count(sort).wrong}


def spans(errors: Errors, sort: str, kind: str = "") -> list[tuple[Span, ...]]:
    return [error.spans for error in errors.of(sort, kind)]


@settings(max_examples=60, deadline=None)
@given(documents)
def test_a_perfect_system_has_no_error(document) -> None:
    gold, _ = document
    assert errors_of(gold, gold).found == ()


@settings(max_examples=60, deadline=None)
@given(documents)
def test_exchanging_gold_and_system_exchanges_recall_and_precision(document) -> None:
    gold, system = document
    there, back = errors_of(system, gold), errors_of(gold, system)
    for sort, kinds in SORTS.items():
        opposite = OPPOSITE[sort]
        if sort == "wrong_boundaries":
            assert spans(back, opposite) == [pair[::-1] for pair in spans(there, sort)]
            continue
        for kind in ("", *kinds):
            assert spans(there, sort, kind) == spans(back, opposite, kind)
            assert there.count(sort, kind) == back.count(opposite, kind)


@settings(max_examples=60, deadline=None)
@given(documents_with_the_same_mentions)
def test_singletons_make_recall_errors_alone_and_one_chain_precision_errors(document) -> None:
    gold, _ = document
    mentions = [mention for chain in gold for mention in chain]
    assert wrong(errors_of([[m] for m in mentions], gold)).keys() <= {
        "missed_links",
        "split_chains",
    }
    one_chain = [mentions] if mentions else []
    assert wrong(errors_of(one_chain, gold)).keys() <= {"wrong_links", "merged_chains"}


@settings(max_examples=60, deadline=None)
@given(documents, st.randoms(use_true_random=False))
def test_the_order_of_chains_and_mentions_does_not_matter(document, random) -> None:
    def shuffled(chains: Chains[Span]) -> Chains[Span]:
        return [random.sample(list(c), len(c)) for c in random.sample(list(chains), len(chains))]

    gold, system = document
    assert errors_of(shuffled(system), shuffled(gold)) == errors_of(system, gold)


@settings(max_examples=60, deadline=None)
@given(st.lists(documents, min_size=1, max_size=3))
def test_links_without_an_error_are_what_muc_counts(pairs) -> None:
    names = [str(index) for index in range(len(pairs))]
    gold, system = (dict(zip(names, side, strict=True)) for side in zip(*pairs, strict=True))
    errors = find_errors(dict.fromkeys(names, TEXT), gold, system)
    muc = score_chains(gold, system).pooled.muc
    for sort, share in (("missed_links", muc.recall), ("wrong_links", muc.precision)):
        count = errors.count(sort)
        assert (count.of - count.wrong) / max(count.of, 1) == pytest.approx(share)


@settings(max_examples=60, deadline=None)
@given(documents)
def test_kinds_make_up_their_sort_and_nothing_is_counted_beyond_its_total(document) -> None:
    gold, system = document
    errors = errors_of(system, gold)
    for sort, kinds in SORTS.items():
        counts = [errors.count(sort, kind) for kind in kinds]
        whole = errors.count(sort)
        assert 0 <= whole.undetected <= whole.wrong <= whole.of
        assert not kinds or sum(count.wrong for count in counts) == whole.wrong
        if "chains" not in sort and kinds:
            assert sum(count.of for count in counts) == whole.of
    lacking = {m for chain in gold for m in chain} - {m for chain in system for m in chain}
    found = errors.count("missed_mentions").wrong + errors.count("wrong_boundaries").wrong
    assert found == len(lacking)


@settings(max_examples=60, deadline=None)
@given(documents_with_the_same_mentions)
def test_with_the_same_mentions_every_link_could_have_been_right(document) -> None:
    gold, system = document
    errors = errors_of(system, gold)
    assert not any(errors.count(sort).undetected for sort in LINK_SORTS)
    # Then a chain is split or merged wherever a link is wrong.
    assert ("missed_links" in wrong(errors)) == ("split_chains" in wrong(errors))
    assert ("wrong_links" in wrong(errors)) == ("merged_chains" in wrong(errors))


def test_documents_add_up() -> None:
    one, other = [[MAN, HE], [DOG]], [[MAN], [DOG, IT]]
    texts = {"a": TEXT, "b": TEXT}
    both = find_errors(texts, {"a": GOLD, "b": GOLD}, {"a": one, "b": other})
    for sort in SORTS:
        counts = [errors_of(side).count(sort) for side in (one, other)]
        assert both.count(sort).of == sum(count.of for count in counts)
        assert both.count(sort).wrong == sum(count.wrong for count in counts)


def test_links_are_sorted_by_the_words_of_anaphor_and_antecedent() -> None:
    errors = errors_of([[mention] for chain in GOLD for mention in chain])
    assert spans(errors, "missed_links", "pronouns") == [
        (WHO, THE_MAN), (HE, WHO), (IT, DOG), (SECOND_IT, BALL),
    ]  # fmt: skip
    # The dog before the pronoun, not the pronoun, is what the second dog is like.
    assert spans(errors, "missed_links", "same head word") == [(THE_MAN, MAN), (THE_DOG, DOG)]
    assert errors.count("missed_links", "other words").of == 0


def test_other_words_go_with_the_nearest_noun_or_else_the_nearest_pronoun() -> None:
    assert spans(errors_of([[MAN, HE, THE_DOG]]), "wrong_links") == [(THE_DOG, MAN)]
    pronouns = errors_of([[HE, SECOND_IT, THE_DOG]])
    assert spans(pronouns, "wrong_links", "other words") == [(THE_DOG, SECOND_IT)]


def test_a_link_to_any_antecedent_is_enough() -> None:
    """It is no error that the nearest one is another: the chain is right from there on."""
    errors = errors_of([[MAN, HE], [THE_MAN, WHO], [DOG, IT, THE_DOG], [BALL, SECOND_IT]])
    assert spans(errors, "missed_links") == [(THE_MAN, MAN)]
    assert wrong(errors) == {"missed_links": 1, "split_chains": 1}


def test_links_that_no_decision_could_mend_are_counted_apart() -> None:
    # The dog begins with its pronoun and lacks its last mention; the ball is not there at all.
    errors = errors_of([[MAN, THE_MAN, WHO, HE], [IT]])
    missed = errors.of("missed_links")
    assert [error.spans for error in missed] == [(IT, DOG), (THE_DOG, DOG), (SECOND_IT, BALL)]
    assert errors.count("missed_links").undetected == 3
    found_late = errors_of([[DOG], [THE_DOG]], [[DOG, IT, THE_DOG]])
    assert [error.undetected for error in found_late.of("missed_links")] == [True, False]


def test_missed_and_extra_mentions_are_pronouns_or_nouns() -> None:
    pets = span("pets")
    errors = errors_of([[MAN, THE_MAN, HE], [DOG, THE_DOG], [BALL, SECOND_IT], [pets]])
    assert spans(errors, "missed_mentions", "pronouns") == [(IT,), (WHO,)]
    assert spans(errors, "extra_mentions", "nouns") == [(pets,)]
    assert errors.count("missed_mentions", "pronouns").of == 4
    assert errors.count("extra_mentions", "nouns").of == 6


def test_wrong_boundaries_are_those_of_mentions_with_the_same_head() -> None:
    bare_man, bare_dog, dog_of = span("man"), span("dog"), span("pets a dog")
    system = [[bare_man], [bare_dog], [dog_of], [span("likes the")]]
    errors = errors_of(system, [[MAN], [DOG], [THE_MAN]])
    # Two mentions lie over the dog, and none with its head over the second man.
    assert spans(errors, "wrong_boundaries") == [(MAN, bare_man)]
    assert errors.count("wrong_boundaries").of == 3
    assert spans(errors, "missed_mentions") == [(DOG,), (THE_MAN,)]
    assert spans(errors, "extra_mentions") == [(dog_of,), (bare_dog,), (span("likes the"),)]


def test_split_and_merged_chains_have_a_part_for_each_chain_of_the_other_side() -> None:
    errors = errors_of([[MAN, DOG, IT], [THE_MAN, THE_DOG], [WHO, BALL], [HE]])
    assert spans(errors, "split_chains", "4 or more parts") == [(MAN, THE_MAN, WHO, HE)]
    assert spans(errors, "split_chains", "2 parts") == [(DOG, THE_DOG)]
    assert spans(errors, "merged_chains", "2 parts") == [
        (MAN, DOG),
        (THE_MAN, THE_DOG),
        (WHO, BALL),
    ]
    # The ball's pronoun is missing, which splits nothing.
    assert errors.count("split_chains").wrong == 2
    assert errors.count("split_chains").of == errors.count("merged_chains").of == 3


def test_chains_without_any_mention_of_the_other_side_are_missed_or_extra() -> None:
    pets, likes = span("pets"), span("likes")
    errors = errors_of([GOLD[0], GOLD[1], [pets, likes], [span("throws")]])
    assert spans(errors, "missed_chains") == [tuple(GOLD[2])]
    assert spans(errors, "extra_chains") == [(pets, likes)]


def test_a_mention_is_there_once() -> None:
    with pytest.raises(ChainsError, match="system document 'd'"):
        errors_of([[MAN, DOG], [DOG]])


def test_nothing_at_all_has_no_errors() -> None:
    errors = find_errors({"d": ""}, {"d": []}, {"d": []})
    assert errors.found == ()
    assert all(count["of"] == 0 for count in errors.to_json().values())
    assert "0.0" not in format_errors(errors)


def test_the_counts_as_json() -> None:
    content = errors_of([GOLD[0], [DOG, IT, BALL], [THE_DOG], [SECOND_IT]]).to_json()
    assert content.keys() == SORTS.keys()
    assert content["missed_links"] == {
        "of": 6, "wrong": 2, "undetected": 0,
        "kinds": {
            "pronouns": {"of": 4, "wrong": 1, "undetected": 0},
            "same head word": {"of": 2, "wrong": 1, "undetected": 0},
            "other words": {"of": 0, "wrong": 0, "undetected": 0},
        },
    }  # fmt: skip
    assert content["wrong_boundaries"] == {"of": 9, "wrong": 0}


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


def test_the_table_has_shares_and_leaves_out_what_says_nothing() -> None:
    table = format_errors(errors_of([GOLD[0], [DOG, IT, BALL], [THE_DOG], [SECOND_IT]]))
    assert ["missed", "links", "6", "2", "33.3", "%"] in rows(table)
    assert ["pronouns", "4", "1", "25.0", "%"] in rows(table)
    assert ["missed", "mentions", "9", "0", "0.0", "%"] in rows(table)
    assert "undetected" not in table and "nouns " not in table.replace("pronouns ", "")
    undetected = format_errors(errors_of([GOLD[0]]))
    assert ["missed", "links", "6", "3", "50.0", "%", "3"] in rows(undetected)


def examples(system: Chains[Span], most: int = 5, gold: Chains[Span] = GOLD) -> str:
    values = {"d": TEXT}, {"d": gold}, {"d": system}
    return format_examples(find_errors(*values), *values, examples=most, colour=False)


def test_an_example_shows_what_is_wrong_on_both_sides() -> None:
    printed = examples([GOLD[0], [DOG, IT, BALL], [THE_DOG], [SECOND_IT]])
    assert "missed links, same head word: 1 of 2" in printed
    assert 'd: "the dog" is not linked to "a dog"' in printed
    words = " ".join(printed.split())
    assert "predicted a man pets [a dog]2* . [it]2 likes the man" in words
    # The ball is in the chain that the example is about, and one of its own in gold.
    assert "[a ball]2 . he throws it to [the dog]4*" in words
    assert "[it]2 likes the man , who holds a ball . he throws it to [the dog]2*" in words
    assert "wrong links, other words: 1 of 1" in printed
    assert 'd: "a ball" is linked to "a dog"' in printed


@pytest.mark.parametrize("most", [1, 2, 3])
def test_examples_are_few_and_spread_over_all_documents(most: int) -> None:
    names = [f"document {index}" for index in range(6)]
    values = (
        dict.fromkeys(names, TEXT),
        dict.fromkeys(names, GOLD),
        dict.fromkeys(names, GOLD[:2]),
    )
    errors = find_errors(*values)
    printed = format_examples(errors, *values, examples=most, colour=False)
    shown = [line.strip() for line in printed.splitlines() if line.startswith("  document")]
    assert [line for line in shown if line.endswith('is not linked to "a ball"')] == [
        f'document {(2 * index + 1) * 6 // (2 * most)}: "it" is not linked to "a ball"'
        for index in range(most)
    ]


def test_what_data_holds_reaches_no_terminal_as_a_code() -> None:
    text = "a \033[31mman and his dog"
    gold = {"d\n": [[(0, len("a \033[31mman"))]]}
    system: dict[str, Chains[Span]] = {"d\n": []}
    errors = find_errors({"d\n": text}, gold, system)
    printed = format_examples(errors, {"d\n": text}, gold, system, examples=1, colour=False)
    assert "\033" not in printed and "\\x1b[31mman" in printed and "d\\n" in printed


def test_a_text_stands_above_its_gold_chains_under_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    system = [[MAN, DOG, IT], [THE_MAN, WHO, HE], [BALL, SECOND_IT, THE_DOG]]
    predicted, gold = format_text(TEXT, system, GOLD, colour=False).split("\n")
    assert predicted.split()[0] == "predicted" and gold.split()[0] == "gold"
    assert "[a man]1 pets [a dog]1" in predicted and "[a man]2 pets [a dog]1" in gold
    assert "gold" not in format_text(TEXT, system, None, colour=False)


def test_an_error_knows_where_it_is() -> None:
    assert errors_of([GOLD[0], GOLD[1], [BALL], [SECOND_IT]]).found == (
        Error("d", "missed_links", "pronouns", (SECOND_IT, BALL)),
        Error("d", "split_chains", "2 parts", (BALL, SECOND_IT)),
    )

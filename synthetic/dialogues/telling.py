"""Two viewers talk about who is seen in a generated video, in Chinese.

One comments and the other replies. Who a mention means is known: the people of the video, several
of them, or somebody who is not in it. In part of the dialogues the image decides it: two people
are introduced by a name, or by a mark that either a man or a woman can have, and one of them is
spoken of again by how they look otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from synthetic.dialogues.people import (
    FEMALE,
    LONG,
    MALE,
    Person,
)

# Kinds of mentions that how people look decides: in this video alone, or in every one in which who
# bears the name is seen.
IMAGE, KNOWN_FACE = "picture", "known face"
SPEAKERS = ("A", "B")

Who = frozenset[int] | str
"""Numbers of people in the video, or what somebody outside of it is called."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A mention: who is meant, and its words, other mentions among them.

    Attributes:
        kind: IMAGE or KNOWN_FACE where looks decide who is meant; else None.
    """

    who: Who
    parts: tuple[str | Phrase, ...]
    kind: str | None = None


Turn = tuple[str | Phrase, ...]


@dataclass(frozen=True, slots=True)
class ToldMention:
    """A mention in a dialogue; `first` and `last` are characters of both turns, inclusive."""

    first: int
    last: int
    who: Who
    kind: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """A dialogue.

    Attributes:
        turns: the characters of each of the two.
        mentions: in text order, the outer one first of those that start together.
    """

    turns: tuple[tuple[str, ...], tuple[str, ...]]
    mentions: tuple[ToldMention, ...]


_PRAISE = (
    "唱得真好听",
    "太好看了",
    "演得真好",
    "笑死我了",
    "今天状态不错",
    "跳舞好厉害",
    "说话好有意思",
)
_AGREE = ("一直都很厉害", "真的很用心", "确实有才华", "声音也好听", "性格特别好", "还会写歌呢")
_ASK = ("是谁啊", "叫什么名字", "多大了", "是哪里人", "有女朋友吗", "是新来的吗")
_TOGETHER = ("一起来了", "又合作了", "同框了", "这期都在", "终于见面了")
_WHICH = ("谁唱得好", "你选谁", "哪个更厉害", "谁是主持人", "哪个才是冠军")
_OPENINGS = ("", "", "", "哈哈", "哇", "其实", "天呐")
_CHOOSE = ("当然是", "我选", "必须是", "肯定是")
_LAUGHS = ("哈哈哈", "我也是", "真的吗", "同意")
_GROUP = ("好搞笑", "配合得太好了", "是情侣吗", "关系真好", "这段笑死人")
_RELATIVES = ("妈妈", "爸爸", "老师", "朋友", "经纪人")
_NOUNS = {MALE: ("男生", "小哥哥", "帅哥", "男的"), FEMALE: ("女生", "小姐姐", "美女", "女的")}
_PRONOUNS = {MALE: "他", FEMALE: "她"}


def tell(people: Sequence[Person], absent: Sequence[Person], random: Random) -> Told | None:
    """Write a dialogue about some people of a video; None where they cannot be told apart.

    Args:
        people: in the video, one at least.
        absent: celebrities who are not.
    """
    cast = _Cast(people, absent, random)
    # Drawn without replacement, by weight (Efraimidis and Spirakis, 2006).
    ranks = {scenario: random.random() ** (1 / weight) for scenario, weight in _SCENARIOS.items()}
    for scenario in sorted(ranks, key=ranks.__getitem__, reverse=True):
        turns = scenario(cast)
        if turns is not None:
            return _laid_out(turns)
    return None


class _Cast:
    """The people of a video, and how they can be called."""

    def __init__(self, people: Sequence[Person], absent: Sequence[Person], random: Random) -> None:
        self.people = people
        self.absent = absent
        self.random = random

    def pick(self, words: Sequence[str]) -> str:
        return self.random.choice(words)

    def pair(self) -> tuple[int, int]:
        """Choose two of them, in any order."""
        first, second = self.random.sample(range(len(self.people)), 2)
        return first, second

    def named(self, number: int) -> Phrase | None:
        name = self.people[number].name
        return _mention(number, name) if name else None

    def pronoun(self, number: int, kind: str | None = None) -> Phrase:
        return _mention(number, _PRONOUNS[self.people[number].gender], kind)

    def noun(self, number: int) -> Phrase | None:
        """Mention somebody as "this boy", where there is only one."""
        gender = self.people[number].gender
        if sum(person.gender == gender for person in self.people) > 1:
            return None
        return _mention(number, self.pick(("这个", "这")) + self.pick(_NOUNS[gender]))

    def described(
        self,
        number: int,
        others: Sequence[int],
        head: str | None = None,
        kind: str | None = None,
        *,
        neutral: bool = False,
    ) -> Phrase | None:
        """Mention somebody as "the one with a hat", by what none of the others has.

        Args:
            head: the noun; one that says the gender where None.
            neutral: by a mark that says no gender.
        """
        mine = set(_marks(self.people[number], neutral))
        for other in others:
            if other != number:
                mine -= set(_marks(self.people[other]))
        if not mine:
            return None
        noun = self.pick(_NOUNS[self.people[number].gender]) if head is None else head
        return _mention(number, self.pick(sorted(mine)) + noun, kind)

    def introduced(self, number: int) -> Phrase | None:
        """Mention somebody by a name, a noun or looks that tell them from everybody else there."""
        everybody = range(len(self.people))
        tried = [self.named(number), self.noun(number), self.described(number, everybody)]
        if len(self.people) == 1:
            tried.append(_mention(number, self.pick(("这个人", "这位", "这人"))))
        ways = [way for way in tried if way is not None]
        return self.random.choice(ways) if ways else None

    def neutral(self, number: int) -> Phrase | None:
        """Mention somebody by name, or by a mark that says no gender."""
        everybody = range(len(self.people))
        return self.named(number) or self.described(number, everybody, "", neutral=True)


def _mention(number: int, words: str, kind: str | None = None) -> Phrase:
    return Phrase(frozenset((number,)), (words,), kind)


def _all_or_none(*phrases: Phrase | None) -> list[Phrase] | None:
    """Return the phrases; None where one of them is missing."""
    found = [phrase for phrase in phrases if phrase is not None]
    return found if len(found) == len(phrases) else None


def _marks(person: Person, neutral: bool = False) -> list[str]:
    """Return what can be said of how somebody looks; each ends in 的."""
    marks = []
    if person.hat:
        marks += ["戴帽子的", f"戴{person.hat}帽子的"]
    if person.glasses:
        marks.append("戴眼镜的")
    if person.beard and not neutral:
        marks.append("有胡子的")
    if person.hair_style == LONG and not neutral:
        marks.append("长头发的")
    return marks


def _facts(person: Person) -> set[str]:
    """Return what can be remarked on how somebody looks, after a pronoun."""
    facts = set()
    if person.hat:
        facts |= {"戴的帽子真好看", f"戴{person.hat}帽子好可爱"}
    if person.glasses:
        facts |= {"戴眼镜好斯文", "的眼镜在哪买的"}
    if person.beard:
        facts.add("的胡子该刮了")
    if person.hair_style == LONG:
        facts.add("的长头发真好看")
    return facts


def _one(cast: _Cast) -> tuple[Turn, Turn] | None:
    """Comment on one person, who is spoken of again."""
    number = cast.random.randrange(len(cast.people))
    first = cast.introduced(number)
    if first is None:
        return None
    begin: Turn = (cast.pick(_OPENINGS), first, cast.pick((*_PRAISE, *_ASK)))
    again = cast.pronoun(number)
    replies: list[Turn] = [
        (again, cast.pick(_AGREE)),
        ("我也喜欢", again),
        ("不知道，但是", again, cast.pick(_AGREE)),
        (Phrase("我", ("我",)), "关注", again, "很久了"),
    ]
    if (noun := cast.noun(number)) is not None:
        replies.append((noun, cast.pick(_AGREE)))
    if (name := cast.named(number)) is not None:
        replies += [(name, "啊，", again, cast.pick(_AGREE)), ("这不是", name, "吗")]
    if facts := _facts(cast.people[number]):
        replies.append((again, cast.pick(sorted(facts))))
    return begin, cast.random.choice(replies)


def _alone(cast: _Cast) -> tuple[Turn, Turn] | None:
    """Speak of one person once: a chain of one mention."""
    number = cast.random.randrange(len(cast.people))
    first = cast.introduced(number)
    if first is None:
        return None
    return (cast.pick(_OPENINGS), first, cast.pick(_PRAISE)), (cast.pick(_LAUGHS),)


def _two_pronoun(cast: _Cast) -> tuple[Turn, Turn] | None:
    """Speak of two, and of one of them by a pronoun: how they look decides whom it means."""
    if len(cast.people) < 2:
        return None
    meant, other = cast.pair()
    phrases = _all_or_none(cast.neutral(meant), cast.neutral(other))
    if phrases is None:
        return None
    cast.random.shuffle(phrases)
    named = [bool(cast.people[n].name) for n in (meant, other)]
    kind = KNOWN_FACE if any(named) else IMAGE
    again = cast.pronoun(meant, kind)
    if cast.people[meant].gender != cast.people[other].gender:
        noun = _mention(meant, "那个" + cast.pick(_NOUNS[cast.people[meant].gender]), kind)
        reply: Turn = cast.random.choice(
            [(cast.pick(_CHOOSE), again), (again, cast.pick(_AGREE)), (noun, cast.pick(_AGREE))]
        )
    else:
        facts = _facts(cast.people[meant]) - _facts(cast.people[other])
        # With marks in place of names, the text alone could tell.
        if not facts or not all(named):
            return None
        reply = (again, cast.pick(sorted(facts)))
    return (phrases[0], "和", phrases[1], cast.pick(_WHICH)), reply


def _two_noun(cast: _Cast) -> tuple[Turn, Turn] | None:
    """Name two, and speak of one by a noun phrase: how they look decides whom it means."""
    if len(cast.people) < 2:
        return None
    meant, other = cast.pair()
    names = _all_or_none(cast.named(meant), cast.named(other))
    looks = cast.described(meant, (other,), cast.pick(("那个", "那位")), KNOWN_FACE)
    if names is None or looks is None:
        return None
    cast.random.shuffle(names)
    begin: Turn = (names[0], "和", names[1], cast.pick(_TOGETHER))
    return begin, (looks, cast.pick((*_AGREE, *_PRAISE)))


def _nested(cast: _Cast) -> tuple[Turn, Turn] | None:
    """Call somebody by who is beside them, or who they belong to."""
    number = cast.random.randrange(len(cast.people))
    inner = cast.introduced(number)
    if inner is None:
        return None
    if len(cast.people) == 1 or cast.random.random() < 0.4:
        relative = cast.pick(_RELATIVES)
        outer = Phrase(relative, (inner, "的" + relative))
        return (outer, cast.pick(_ASK)), (
            "没听说过，只知道", cast.pronoun(number), cast.pick(_AGREE)
        )  # fmt: skip
    others = [n for n in range(len(cast.people)) if n != number]
    beside = cast.random.choice(others)
    gender = cast.people[beside].gender
    if sum(cast.people[n].gender == gender for n in others) > 1:
        return None
    outer = Phrase(frozenset((beside,)), (inner, "旁边的" + cast.pick(_NOUNS[gender])))
    answer = cast.named(beside)
    reply: Turn = ("不认识，", cast.pronoun(beside), cast.pick(_AGREE))
    # Where both share a pronoun the text does not say whose it is.
    if answer is not None and cast.random.random() < 0.6:
        reply = ("是", answer, "吧")
    elif gender == cast.people[number].gender:
        return None
    return (outer, cast.pick(_ASK)), reply


def _group(cast: _Cast) -> tuple[Turn, Turn] | None:
    """Speak of two together."""
    if len(cast.people) != 2:
        return None
    who = frozenset((0, 1))
    women = all(person.gender == FEMALE for person in cast.people)
    they = Phrase(who, ("她们" if women else cast.pick(("他们", "他俩", "这两个人")),))
    again = Phrase(who, ("她们" if women else "他们",))
    members = _all_or_none(cast.introduced(0), cast.introduced(1))
    if members is not None and cast.random.random() < 0.5:
        they = Phrase(who, (members[0], "和", members[1]))
    return (they, cast.pick(_GROUP)), cast.random.choice(
        [(again, "一直这样"), ("哈哈哈我也觉得",), ("我很喜欢", again)]
    )


def _absent(cast: _Cast) -> tuple[Turn, Turn] | None:
    """Speak of somebody who is not in the video, so has no head there, and of one who is."""
    number = cast.random.randrange(len(cast.people))
    here = cast.introduced(number)
    if here is None or not cast.absent:
        return None
    missing = cast.random.choice(cast.absent)
    first = Phrase(missing.name, (missing.name,))
    again = Phrase(missing.name, (_PRONOUNS[missing.gender],))
    return (first, cast.pick(("怎么没来", "去哪了", "这期不在吗"))), (
        again, "在忙吧，", here, "来了就行"
    )  # fmt: skip


# How often each is tried first.
_SCENARIOS: dict[Callable[[_Cast], tuple[Turn, Turn] | None], float] = {
    _one: 3,
    _alone: 1.5,
    _two_pronoun: 8,
    _two_noun: 3,
    _nested: 2,
    _group: 2,
    _absent: 0.7,
}


def _laid_out(turns: tuple[Turn, Turn]) -> Told:
    """Write the characters of each turn, and where the mentions stand in them."""
    characters: list[str] = []
    mentions: list[ToldMention] = []

    def lay(part: str | Phrase) -> None:
        if isinstance(part, str):
            characters.extend(part)
            return
        first = len(characters)
        for inner in part.parts:
            lay(inner)
        mentions.append(ToldMention(first, len(characters) - 1, part.who, part.kind))

    ends = [0]
    for turn in turns:
        for part in turn:
            lay(part)
        ends.append(len(characters))
    mentions.sort(key=lambda mention: (mention.first, -mention.last))
    first, second = (tuple(characters[begin:end]) for begin, end in itertools.pairwise(ends))
    return Told((first, second), tuple(mentions))

"""A trained model on images and texts of one's own."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data.narration import Regions
from inference.inputs import ImagesToRegions
from inference.resolution import Resolution
from inference.resolver import LeftOutWarning, Resolver
from tests.conftest import REPOSITORY
from tests.support import tiny
from tests.support.present import present
from utils.errors import InputError

DETECTING = {"mention_detection": True, "max_mention_pieces": 8}
TEXTS = [
    "a man in a red shirt and a dog; he has the dog on his ball.",
    "two women, she and she.",
    "",
    "it is a tree",
    "   ",
]
SPANS = [[(32, 34), (0, 5), (0, 20), (9, 20), (25, 30)], [(0, 9), (11, 14)], [], [(0, 2)], []]


def resolver_of(extractor: ImagesToRegions | None = None, **values: object) -> Resolver:
    return tiny.resolver(region_extractor=extractor, **{**DETECTING, **values})


@pytest.fixture(scope="module")
def resolver() -> Resolver:
    """Finds mentions, and regions where the image's size says."""
    return resolver_of(extract)


def extract(images: Sequence[Image.Image]) -> list[Regions]:
    """As many regions as the image has columns, which the size alone decides."""
    assert all(image.mode == "RGB" for image in images)
    return [tiny.regions(image.width, seed=image.height) for image in images]


def assert_same(one: Resolution, other: Resolution) -> None:
    assert one.chains == other.chains
    assert one.mentions == other.mentions
    assert one.narration.image_size == other.narration.image_size
    np.testing.assert_allclose(one.similarity, other.similarity, atol=1e-5)
    assert (one.boxes_xyxy is None) == (other.boxes_xyxy is None)
    if one.boxes_xyxy is not None and other.boxes_xyxy is not None:
        np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1e-5)
        scores = present(one.box_scores), present(other.box_scores)
        np.testing.assert_allclose(*scores, atol=1e-5)


@pytest.mark.parametrize("mentions", [SPANS, None, [SPANS[0], None, [], None, []]])
def test_texts_together_give_what_each_gives_alone(resolver: Resolver, mentions) -> None:
    images = [Image.new("L", (7, 5)), None, tiny.regions(3, 1), tiny.regions(0, 1), None]
    each = [None] * len(TEXTS) if mentions is None else mentions
    alone = [resolver(*of_one)[0] for of_one in zip(images, TEXTS, each, strict=True)]
    for batch in (32, 2):
        together = resolver(images, TEXTS, mentions, batch=batch)
        for one, other in zip(together, alone, strict=True):
            assert_same(one, other)
    for one, other in zip(resolver(images, TEXTS, mentions), together, strict=True):
        assert_same(one, other)


def test_mentions_are_cut_from_the_text_and_each_is_in_one_chain(resolver: Resolver) -> None:
    for mentions in (SPANS, None):
        for number, found in enumerate(resolver(None, TEXTS, mentions)):
            assert found.narration.text == TEXTS[number]
            if mentions is not None:
                spans = [(mention.start, mention.end) for mention in found.mentions]
                assert sorted(spans) == sorted(mentions[number])
            for mention in found.mentions:
                assert TEXTS[number][mention.start : mention.end] == mention.phrase
            chained = [index for chain in found.chains for index in chain]
            assert sorted(chained) == list(range(len(found.mentions)))
            texts = [[found.mentions[i].phrase for i in chain] for chain in found.chains]
            assert found.chain_texts() == texts


def test_mentions_that_are_given_are_not_looked_for(resolver: Resolver) -> None:
    (given,) = resolver(None, TEXTS[0], SPANS[0])
    (found,) = resolver(None, TEXTS[0])
    assert len(given.mentions) == 5 != len(found.mentions) > 0
    blind = resolver_of(mention_detection=False)
    assert blind(None, TEXTS[0], SPANS[0])[0].mentions == given.mentions
    with pytest.raises(InputError, match="find_spans takes from a spaCy pipeline"):
        blind(None, TEXTS[:2], [SPANS[0], None])


def test_what_has_no_mentions_has_an_empty_answer(resolver: Resolver) -> None:
    assert resolver(None, []) == []
    for text, mentions in (("", None), ("", []), ("a tree", [])):
        (found,) = resolver(tiny.regions(3, 1), text, mentions)
        assert found.mentions == () and found.chains == [] and found.similarity.shape == (0, 0)
        assert found.to_dict()["mentions"] == found.to_dict()["chains"] == []


def test_boxes_are_of_the_image(resolver: Resolver) -> None:
    (found,) = resolver(Image.new("RGB", (40, 20)), TEXTS[0], SPANS[0])
    boxes, scores = present(found.boxes_xyxy), present(found.box_scores)
    np.testing.assert_allclose(present(found.boxes_pixels), boxes * [40, 20, 40, 20], rtol=1e-6)
    assert boxes.min() >= 0 and boxes.max() <= 1
    (unmeasured,) = resolver(tiny.regions(40, seed=20), TEXTS[0], SPANS[0])
    np.testing.assert_allclose(present(unmeasured.boxes_xyxy), boxes, atol=1e-6)
    assert unmeasured.boxes_pixels is None
    (alone,) = resolver(None, TEXTS[0], SPANS[0])
    assert alone.boxes_xyxy is alone.boxes_pixels is None
    for chain in found.chains:
        assert scores[present(found.surest(chain))] == scores[chain].max()
        assert alone.surest(chain) is None


def test_an_image_that_lies_is_turned(resolver: Resolver, tmp_path: Path) -> None:
    lying = Image.new("RGB", (40, 20))
    lying.getexif()[0x0112] = 6
    lying.save(tmp_path / "lying.jpg", exif=lying.getexif())
    for image in (lying, tmp_path / "lying.jpg", str(tmp_path / "lying.jpg")):
        (found,) = resolver(image, TEXTS[0], SPANS[0])
        assert found.narration.image_size == (20, 40)


def test_plain_values_say_the_same(resolver: Resolver) -> None:
    for image in (None, tiny.regions(4, 1), Image.new("RGB", (40, 20))):
        (found,) = resolver(image, TEXTS[0], SPANS[0])
        plain = json.loads(json.dumps(found.to_dict(similarity=True), allow_nan=False))
        similarity = plain.pop("similarity")
        assert plain == found.to_dict()
        assert [chain["mentions"] for chain in plain["chains"]] == found.chains
        assert [chain["texts"] for chain in plain["chains"]] == found.chain_texts()
        for number, chain in enumerate(found.chains):
            assert {plain["mentions"][index]["chain"] for index in chain} == {number}
        np.testing.assert_allclose(similarity, found.similarity, atol=1e-4)
        for index, mention in enumerate(plain["mentions"]):
            assert TEXTS[0][mention["start"] : mention["end"]] == mention["text"]
            if found.boxes_xyxy is None:
                assert mention["box_xyxy"] is mention["box_score"] is None
            else:
                np.testing.assert_allclose(mention["box_xyxy"], found.boxes_xyxy[index], atol=1e-4)
            if found.boxes_pixels is None:
                assert mention["box_pixels"] is None
            else:
                np.testing.assert_allclose(
                    mention["box_pixels"], found.boxes_pixels[index], atol=0.06
                )


def test_a_mention_that_the_model_does_not_see_has_no_box() -> None:
    resolver = resolver_of()
    spans = [(0, 5), (5, 6), (9, 20), (32, 34)]
    with pytest.warns(LeftOutWarning, match=r"^1 mentions of 1 narrations \(0\) have no"):
        (found,) = resolver(tiny.regions(3, 1), TEXTS[0], spans)
    boxes = [mention["box_xyxy"] is None for mention in found.to_dict()["mentions"]]
    assert boxes == [False, True, False, False]
    assert [1] in found.chains
    assert (found.similarity[1, [0, 2, 3]] == -1).all()
    assert all(1 not in (mention, before) for mention, before, _ in found.to_dict()["links"])


def test_all_mentions_are_seen_whatever_the_training_saw() -> None:
    capped, whole = resolver_of(max_mentions=2), resolver_of()
    assert_same(capped(None, TEXTS[0], SPANS[0])[0], whole(None, TEXTS[0], SPANS[0])[0])
    text = "it " * 130
    (found,) = whole(None, text, [(3 * n, 3 * n + 2) for n in range(130)])
    assert found.links.seen.tolist() == list(range(130)) and found.links.beyond_reach == 0


def test_what_is_out_of_reach_is_said() -> None:
    resolver = resolver_of(mention_reach=2)
    with pytest.warns(LeftOutWarning, match=r"^2 mentions of 1 narrations \(0\) have more than 2"):
        (found, _) = resolver(None, TEXTS[:2], SPANS[:2])
    compared = found.similarity != -1
    assert compared.sum(axis=1).tolist() == [3, 4, 5, 4, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resolver(None, TEXTS[1], SPANS[1])


def test_the_best_links_are_plain_values_too(resolver: Resolver) -> None:
    (found,) = resolver(None, TEXTS[0], SPANS[0])
    plain = found.to_dict()
    assert plain["links"] and "similarity" not in plain
    for mention, before, score in plain["links"]:
        assert before < mention
        assert score == pytest.approx(found.similarity[mention, before], abs=1e-4)


@pytest.mark.parametrize(
    ("images", "texts", "mentions", "said"),
    [
        (None, ["a dog", 3], None, r"texts\[1\]: found 3"),
        (None, ["a dog\ud800"], None, r"texts\[0\]"),
        (None, ["a dog"], [], "mentions: found 0"),
        ([None] * 3, ["a dog"], None, "images: found 3"),
        (None, ["a", "a dog"], [[], [(2, 6)]], r"texts\[1\]: mentions: found \(2, 6\), expected"),
        (None, ["a dog"], [[(2, 2)]], r"found \(2, 2\)"),
        (None, ["a dog"], [[(-1, 2)]], r"found \(-1, 2\)"),
        (None, ["a dog"], [[(0, 1.0)]], r"found \(0, 1.0\)"),
        (None, ["a dog"], [[(0, 1, 2)]], r"found \(0, 1, 2\)"),
        (None, ["a dog"], ["dog"], "found 'dog', expected a list"),
        ([3], ["a dog"], None, r"images\[0\]: found int"),
        (["none.jpg"], ["a dog"], None, r"images\[0\]: none.jpg cannot be read"),
        ([Image.new("RGB", (300, 2))], ["a dog"], None, "it has 300 x 2 pixels, expected sides"),
        ([REPOSITORY / "README.md"], ["a dog"], None, "README.md cannot be read as a picture"),
        ([Image.new("RGB", (0, 3))], ["a dog"], None, r"images\[0\]: "),
    ],
)
def test_what_cannot_be_used_is_named(resolver: Resolver, images, texts, mentions, said) -> None:
    with pytest.raises(InputError, match=said):
        resolver(images, texts, mentions)


def spoilt(**arrays: Any) -> Regions:
    return dataclasses.replace(tiny.regions(3, 1), **arrays)


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        (spoilt(features=np.ones((3, 4), np.float32)), "features of 4 numbers, the model takes 12"),
        (spoilt(features=np.full((3, 12), np.nan, np.float32)), "not all finite"),
        (spoilt(boxes_xyxy=np.full((3, 4), 20.0, np.float32)), "from 20 to 20, expected parts"),
        (spoilt(boxes_xyxy=np.full((3, 4), np.nan, np.float32)), "expected parts"),
    ],
)
def test_regions_that_are_not_the_models_are_refused(
    resolver: Resolver, regions: Regions, said: str
) -> None:
    for extractor, image in ((None, regions), (lambda _: [regions], Image.new("RGB", (4, 4)))):
        with pytest.raises(InputError, match=rf"images\[0\].*{said}"):
            resolver_of(extractor)([image], [TEXTS[0]])


def test_the_first_regions_are_read() -> None:
    resolver = resolver_of(max_regions=3)
    many = tiny.regions(9, 1)
    first = Regions(many.boxes_xyxy[:3], many.labels[:3], (), many.features[:3])
    (of_many,), (of_first,) = (resolver(r, TEXTS[0], SPANS[0]) for r in (many, first))
    assert_same(of_many, of_first)
    assert len(of_many.regions_xyxy) == 3


def test_images_without_what_reads_them_are_refused() -> None:
    with pytest.raises(InputError, match="takes a region extractor"):
        resolver_of()(Image.new("RGB", (4, 4)), TEXTS[0])
    blind = resolver_of(extract, use_regions=False, grounding=False, box_regression=False)
    with pytest.raises(InputError, match="reads texts alone"):
        blind(Image.new("RGB", (4, 4)), TEXTS[0])
    assert blind(None, TEXTS[0], SPANS[0])[0].boxes_xyxy is None


def test_a_broken_model_is_refused() -> None:
    resolver = resolver_of()
    with torch.no_grad():
        next(resolver.model.parameters()).fill_(torch.nan)
    with pytest.raises(InputError, match="not finite"):
        resolver(None, TEXTS[0], SPANS[0])


def test_a_checkpoint_and_torch_hub_give_the_same(
    resolver: Resolver, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "models.pt"
    tiny.write_checkpoint(path, resolver)
    options: dict[str, Any] = {"device": "cpu", "region_extractor": extract}
    direct = Resolver.from_checkpoint(str(path), **options)
    by_hub = torch.hub.load(str(REPOSITORY), "resolver", checkpoint=path, source="local", **options)
    image = Image.new("RGB", (6, 5))
    expected, one, other = (of(image, TEXTS[0])[0] for of in (resolver, direct, by_hub))
    assert expected.mentions
    assert_same(one, expected)
    assert_same(other, expected)
    assert capfd.readouterr() == ("", "")

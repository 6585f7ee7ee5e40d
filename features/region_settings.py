"""What the regions of images are made by: which networks, with which weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch

from features.weights import identity_of_weights
from utils.errors import InputError
from utils.printable import quote

if TYPE_CHECKING:
    from features.region_extraction import RegionExtractor

_WEIGHTS = ("detector_weights", "trunk_weights")


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """What is asked for; the fields are those of the command line.

    Attributes:
        detector, detector_weights, trunk_weights, size, seed: of `RegionExtractor.load`; None where
            nothing is said of it.
    """

    detector: str | None
    detector_weights: str | None
    trunk_weights: str | None
    size: int | None
    seed: int | None = None

    def identity(self) -> dict[str, Any]:
        """What regions depend on, as JSON can hold it: of a file of weights what is in it."""
        weights = {name: getattr(self, name) for name in _WEIGHTS}
        told = {name: value and identity_of_weights(value) for name, value in weights.items()}
        return {**asdict(self), **told}

    def like(self, made_of: Mapping[str, Any]) -> RegionSettings:
        """The same settings with what they leave out as it was for other regions.

        Args:
            made_of: the identity of what made those, as it was kept.

        Raises:
            InputError: they ask for something else, or leave out a file of weights, of which only
                the name and the content are kept.
        """
        identity = self.identity()
        for field in fields(self):
            name, expected = field.name, made_of.get(field.name)
            option = "--" + name.replace("_", "-")
            found = identity[name]
            if found is not None and found != expected:
                raise InputError(
                    f"{option}: found {quote(found)}, expected {quote(expected)}, which the "
                    "regions of the training were made with"
                )
            if found is None and name in _WEIGHTS and _is_of_file(expected):
                raise InputError(
                    f"{option}: found none, expected the file {expected.split()[0]} that the "
                    "regions of the training were made with"
                )
        kept = {name: made_of.get(name) for name, value in asdict(self).items() if value is None}
        return replace(self, **kept)

    def load(self, device: torch.device) -> RegionExtractor:
        """The networks.

        Raises:
            InputError: one of them cannot be had, or they do not fit together.
        """
        # Here, as torchvision's networks take seconds to import.
        from features.region_extraction import RegionExtractor

        return RegionExtractor.load(
            self.detector or "",
            self.detector_weights or "",
            self.trunk_weights or "",
            device,
            self.size,
            self.seed or 0,
        )


def _is_of_file(identity: Any) -> bool:
    """Whether weights were a file: these are known by their name and what is in them."""
    return isinstance(identity, str) and " " in identity

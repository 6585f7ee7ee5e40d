"""What is seen of each entity of a drawing, and what of it has been told."""

from __future__ import annotations

from collections.abc import Sequence

from synthetic.world.drawing import Drawing
from synthetic.world.scenes import ANIMAL_COLOURS, ANIMALS, PEOPLE, WIDTH


class Attributes:
    """The attributes of the entities of a drawing: colours of parts, pose, size and place.

    Entities go by their index in the scene. Nothing is told of one by what is known of it already.
    """

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self._entities = drawing.scene.entities
        self._told: dict[int, set[str]] = {i: set() for i in range(len(self._entities))}

    def mark_told(self, index: int, attribute: str) -> None:
        """Note that an attribute of an entity has been told."""
        self._told[index].add(attribute)

    def value(self, index: int, attribute: str) -> str | None:
        """Return what an attribute of an entity is; None where it has none that is seen."""
        entity = self._entities[index]
        if attribute == "place":
            return self._place(index)
        if attribute == "pose":
            return entity.pose if entity.kind in PEOPLE else None
        if attribute == "size":
            return entity.size or None
        return entity.colours.get(attribute)

    def untold(self, index: int) -> list[str]:
        """Return the attributes of an entity that have not been told."""
        return [
            attribute
            for attribute in self._of(index)
            if attribute not in self._told[index] and self.value(index, attribute) is not None
        ]

    def distinguishing(self, index: int, rivals: Sequence[int]) -> list[str]:
        """Return what the image shows of one entity alone, and what has been told of none.

        Args:
            rivals: the entities to tell it from; itself may be among them.
        """
        kinds = {self._entities[i].kind for i in rivals}
        found = []
        for attribute in self._of(index):
            mine = self.value(index, attribute)
            values = [self.value(i, attribute) for i in rivals if i != index]
            if mine is None or mine in values or any(attribute in self._told[i] for i in rivals):
                continue
            # Where it stands in between, a place is no clear difference; nor is an unsaid size.
            if attribute in ("place", "size") and None in values:
                continue
            # What is small among horses is not among balls.
            if attribute == "size" and len(kinds) > 1:
                continue
            # Words must not tell either: no dog is green, and of no tree is a colour told.
            if attribute == "body" and None in values:
                continue
            if attribute == "body" and kinds & set(ANIMALS) and mine not in ANIMAL_COLOURS:
                continue
            found.append(attribute)
        return found

    def _of(self, index: int) -> list[str]:
        entity = self._entities[index]
        if entity.kind in PEOPLE:
            parts = [part for part in entity.colours if (index, part) in self._drawing.boxes]
            return [*parts, "pose", "place"]
        return [*(["body"] if entity.colours else []), "size", "place"]

    def _place(self, index: int) -> str | None:
        if (index, "") not in self._drawing.boxes:
            return None
        x1, _, x2, _ = self._drawing.boxes[index, ""]
        middle = (x1 + x2) / 2 / WIDTH
        for name, low, high in (("left", 0, 0.33), ("middle", 0.4, 0.6), ("right", 0.67, 1)):
            if low <= middle <= high:
                return name
        return None

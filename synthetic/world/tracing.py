"""The mouse of a narrator: a box for each word, which follows the words with a delay."""

from __future__ import annotations

from random import Random

import numpy as np

from synthetic.world.scenes import HEIGHT, WIDTH
from synthetic.world.transcript import Told

_SHORTEST_LAG, _LONGEST_LAG = 1, 4  # words
_INERTIA = 0.5  # of where the mouse was


def trace(told: Told, random: Random) -> np.ndarray:
    """Move the mouse over a box during each word.

    Args:
        random: decides the lag and how the mouse wanders.

    Returns:
        [words, 5] float32: x1, y1, x2, y2 and the area, relative to the image.
    """
    lag = random.randint(_SHORTEST_LAG, _LONGEST_LAG)
    starts = np.cumsum([0] + [len(word) + 1 for word in told.text.split()])[:-1]
    target = (0, 0, WIDTH, HEIGHT)
    targets = []
    boxed = [mention for mention in told.mentions if mention.boxes]
    for start in starts:
        of_word = [mention for mention in boxed if mention.start <= start < mention.end]
        if of_word:
            # The innermost mention is what is being pointed at.
            innermost = min(of_word, key=lambda mention: mention.end - mention.start)
            target = random.choice(innermost.boxes)
        targets.append(target)
    delayed = [targets[max(place - lag, 0)] for place in range(len(targets))]
    boxes = []
    box = np.array(delayed[0], dtype=np.float64)
    for goal in delayed:
        wander = [random.gauss(0, 6) for _ in range(4)]
        box = _INERTIA * box + (1 - _INERTIA) * (np.array(goal) + wander)
        boxes.append(box / (WIDTH, HEIGHT, WIDTH, HEIGHT))
    x1, y1, x2, y2 = np.clip(np.array(boxes), 0, 1).T
    x2, y2 = np.maximum(x1, x2), np.maximum(y1, y2)
    return np.stack([x1, y1, x2, y2, (x2 - x1) * (y2 - y1)], axis=1).astype(np.float32)

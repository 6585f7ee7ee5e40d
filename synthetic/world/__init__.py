"""A generated world with known answers, in the published file formats.

Scenes of people, animals and things are drawn (`scenes.py`, `drawing.py`), told in words whose
referents are known (`narrating.py`, by the noun phrases of `phrases.py`, the `attributes.py` of
what is drawn and a `transcript.py`; `tracing.py` moves the mouse), and looked at by a detector that
makes mistakes (`detecting.py`); `writing.py` puts it all into files that the ordinary readers read.

The image matters: people and things are introduced without what tells them apart, and later
spoken of by exactly that ("the man in the red shirt", "he is waving"). The pronouns that only the
image decides are marked, so that they can be scored apart.
"""

from synthetic.world.writing import SPLITS, write_world

__all__ = ["SPLITS", "write_world"]

"""Narrations as tasks of Label Studio, to be corrected there, and read back.

A chain is a label: its mentions are spans of the text with that label, and its boxes rectangles
in the image with the same one. A rectangle is a box of all mentions of its chain; one that is
tied to mentions by relations is a box of these alone.

- `tasks.py` writes the tasks and the labelling configuration;
- `annotations.py` reads what Label Studio exports as JSON.
"""

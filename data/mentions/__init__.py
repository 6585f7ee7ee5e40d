"""Mentions found by spaCy pipelines, and the training of these pipelines."""

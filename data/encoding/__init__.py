"""Narrations as examples: word-pieces, spans, masks and features of mentions."""

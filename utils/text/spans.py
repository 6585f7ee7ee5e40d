"""Spans of a text."""

from __future__ import annotations

Span = tuple[int, int]  # (start, end) in characters, the end exclusive

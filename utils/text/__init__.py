"""Spans, languages, and CoNLL files of texts."""

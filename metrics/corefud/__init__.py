"""Scores of CorefUD documents: mentions of a key and a response matched, then counted."""

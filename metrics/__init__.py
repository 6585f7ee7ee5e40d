"""Scores of chains, boxes and heads, rules to beat, and an analysis of errors."""

"""Scores of chains: what is counted in a document, scores of the sums, and their certainty."""

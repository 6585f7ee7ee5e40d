"""Scores of subsets of one run: by genre and length of documents, kind and distance of mentions."""

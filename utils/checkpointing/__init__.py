"""Checkpoints, and where a training stands, in files."""

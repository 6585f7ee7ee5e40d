"""Heads of people in videos: found, tracked and described."""

"""Images and frames of videos, read from files."""

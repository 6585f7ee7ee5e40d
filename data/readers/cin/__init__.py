"""Coreferenced Image Narratives, with the captions of Localized Narratives."""

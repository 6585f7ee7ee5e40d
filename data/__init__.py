"""Narrations of data sets: reading, encoding and loading them with their regions."""

"""Narrations written to the files of data sets."""

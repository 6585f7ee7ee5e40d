"""Splits of data sets as batches, read ahead and shared among ranks."""

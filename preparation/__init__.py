"""The commands of `prepare.py`."""

"""Commands beside those at the root."""

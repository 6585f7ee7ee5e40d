"""Predicted chains compared with gold ones, thresholds and held-out scores."""

"""Losses, pseudo-labels, the averaged teacher, the optimizer and the training loop."""

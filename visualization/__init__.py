"""The HTML page of predictions and errors, and training curves."""

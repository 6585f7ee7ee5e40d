"""What is wrong with predicted chains and boxes, sorted by kind."""

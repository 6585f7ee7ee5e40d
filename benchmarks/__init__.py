"""Commands that time training steps, answers, loading and scoring."""

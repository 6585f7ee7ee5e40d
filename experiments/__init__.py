"""Commands that train and score many models, and write tables of them."""

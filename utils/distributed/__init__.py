"""Several processes: their start, their messages and their failures."""

"""An agent file that does not load."""

LIMIT = 1 / 0

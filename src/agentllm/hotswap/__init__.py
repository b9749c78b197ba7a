"""Models and prompts that a person sets for one conversation."""

"""How agents reach language models."""

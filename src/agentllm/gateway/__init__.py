"""All that knows LiteLLM: from its requests to turns, from events to its chunks, and how it finds the agents."""

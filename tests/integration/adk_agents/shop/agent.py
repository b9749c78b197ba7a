"""A package as ADK has it: agents under a `root_agent`, one of which it can hand over to."""

from google.adk.agents import LlmAgent

from agentllm.runtimes.adk import RoutedLlm


def price(thing: str) -> dict[str, int]:
    """The price of a thing."""
    return {"price": len(thing)}


seller = LlmAgent(name="seller", description="Knows prices.", model=RoutedLlm(model="openai/gpt-seller"), tools=[price])
root_agent = LlmAgent(
    name="root_agent",
    description="Sells things.",
    model=RoutedLlm(model="openai/gpt-shop"),
    instruction="Greet.",
    sub_agents=[seller],
)

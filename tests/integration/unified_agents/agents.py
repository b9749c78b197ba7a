"""Agents over LiteLLM, whose models are the scripted one."""

from agentllm import UnifiedAgent


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def explode() -> str:
    """Fail."""
    raise RuntimeError("secret-detail-of-the-tool")


def openai_one() -> UnifiedAgent:
    """Adds, through OpenAI's API."""
    return UnifiedAgent(
        "openai/gpt-unified", name="openai-one", instructions="Be brief.", tools=[add, explode], retries=0
    )


def gemini_one() -> UnifiedAgent:
    """Adds, through Gemini's API."""
    return UnifiedAgent("gemini/gemini-3-flash", name="gemini-one", tools=[add, explode], retries=0)


def housed() -> UnifiedAgent:
    """Has a model of the proxy, with the fallbacks of its configuration."""
    return UnifiedAgent("house", name="housed")


def falling() -> UnifiedAgent:
    """Has fallbacks of its own."""
    return UnifiedAgent.with_fallbacks("openai/gpt-first", ["gemini/gemini-3-flash"], name="falling", retries=0)


def misspelt() -> UnifiedAgent:
    """Names a provider that there is not."""
    return UnifiedAgent("opanai/gpt-unified")


__all__ = ["falling", "gemini_one", "housed", "misspelt", "openai_one"]

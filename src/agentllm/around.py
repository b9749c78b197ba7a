"""What the runtimes around another one have in common."""

from __future__ import annotations

from agentllm.core import Memory, Runtime


class Around:
    """A runtime that is `inner` in everything but how a turn is run, which each subclass says itself."""

    def __init__(self, inner: Runtime) -> None:
        self._inner = inner

    @property
    def name(self) -> str | None:
        """See `agentllm.core.Runtime.name`."""
        return self._inner.name

    @property
    def description(self) -> str | None:
        """See `agentllm.core.Runtime.description`."""
        return self._inner.description

    @property
    def memory(self) -> Memory:
        """See `agentllm.core.Runtime.memory`."""
        return self._inner.memory

    @property
    def takes_front_end_tools(self) -> bool:
        """See `agentllm.core.Runtime.takes_front_end_tools`."""
        return self._inner.takes_front_end_tools

    async def warm_up(self) -> None:
        """See `agentllm.core.Runtime.warm_up`."""
        await self._inner.warm_up()

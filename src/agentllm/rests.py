"""Rests in reading a model's answer, while what was read of it already waits to be sent.

Who sends an answer knows when reading more of it is of no use yet, and who reads it whether it gathers
meanwhile, to be read at once later. One that does not would only be slowed down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

_REST: ContextVar[Callable[[], Awaitable[object]] | None] = ContextVar("rest", default=None)


def rest_with(wait: Callable[[], Awaitable[object]]) -> None:
    """Have readers in this context `wait` before they go on to read."""
    _REST.set(wait)


async def rest() -> None:
    """Wait until there is a use in reading on; at once where nobody says otherwise."""
    if (wait := _REST.get()) is not None:
        await wait()

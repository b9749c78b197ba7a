"""LiteLLM's log without what people wrote: our errors name the value that is wrong, and only its sender may read it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from agentllm.core import FAMILIES
from agentllm.gateway.failures import MARK

LOGGERS = ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router")


def hide_quotes() -> None:
    """Have LiteLLM's loggers name the errors that quote requests, without their text and traceback.

    LiteLLM's own filters turn errors into text, so that this one must come before them.
    """
    for name in LOGGERS:
        filters = logging.getLogger(name).filters
        if _hide not in filters:
            filters.insert(0, _hide)


def _hide(record: logging.LogRecord) -> bool:
    args = record.args if isinstance(record.args, tuple) else ()
    errors = [arg for arg in args if isinstance(arg, BaseException)]
    if record.exc_info and record.exc_info[1] is not None:
        errors.append(record.exc_info[1])
    if any(_quotes(error) for error in errors):
        record.args = tuple(_named(arg) if isinstance(arg, BaseException) else arg for arg in args)
        record.exc_info = None
    return True


def _quotes(error: BaseException) -> bool:
    """Whether the text of `error` may quote a request to an agent: as its mark says, else where it is LiteLLM's own."""
    chain = list(_chain(error))
    marks = [getattr(one, MARK) for one in chain if hasattr(one, MARK)]
    return any(marks) if marks else any(getattr(one, "llm_provider", None) in FAMILIES for one in chain)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and those that it came from, for LiteLLM wraps them."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__, getattr(one, "original_exception", None)]


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}, of which the client alone is told more"

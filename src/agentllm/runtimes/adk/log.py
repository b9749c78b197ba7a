"""ADK's log without what was said: its messages hold arguments of tools, and errors that quote them."""

from __future__ import annotations

import logging

from agentllm.errors import origin

_ADK = "google_adk"

log = logging.getLogger("agentllm.adk")


class _WithoutContent(logging.Handler):
    """Passes on what ADK's code itself says, and where an error came from, without what was filled in."""

    def emit(self, record: logging.LogRecord) -> None:
        raised = record.exc_info[1] if record.exc_info else None
        where = f", {origin(raised)}" if raised is not None else ""
        log.log(record.levelno, "%s: %r (its content is not shown)%s", record.name, record.msg, where)


def hide_content() -> None:
    """Have ADK's warnings and errors reach this process's log without their content; its other messages do not."""
    logger = logging.getLogger(_ADK)
    if any(isinstance(handler, _WithoutContent) for handler in logger.handlers):
        return
    logger.addHandler(_WithoutContent(logging.WARNING))
    logger.propagate = False

"""a2a-sdk's log without what people wrote: it logs requests that cannot be read, and failures with their messages."""

from __future__ import annotations

import logging

log = logging.getLogger("agentllm.a2a")


def hide_quotes() -> None:
    """Have the SDK's warnings and errors told by our log, with the place and the kind of error alone."""
    of_sdk = logging.getLogger("a2a")
    of_sdk.propagate = False
    if not of_sdk.handlers:
        of_sdk.addHandler(_Retold(logging.WARNING))


class _Retold(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        kind = f", {error.__name__}" if error is not None else ""
        log.log(record.levelno, "a2a-sdk: %s, line %d%s", record.name, record.lineno, kind)

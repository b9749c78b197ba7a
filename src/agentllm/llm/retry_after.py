"""How long a model's provider asks to wait."""

from __future__ import annotations

from agentllm.errors import causes


def retry_after(error: BaseException) -> int | None:
    """The seconds of the `Retry-After` header of the answer that `error` or one of its causes tells of.

    None where it has none. Dates, which RFC 9110 allows too, are passed over: providers send seconds.
    """
    for cause in causes(error):
        for headers in (
            getattr(getattr(cause, "response", None), "headers", None),
            getattr(cause, "litellm_response_headers", None),
        ):
            value = headers.get("retry-after") if headers is not None else None
            if isinstance(value, str) and value.isdecimal():
                return int(value)
    return None

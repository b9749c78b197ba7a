"""Every error that AgentLLM raises; each class knows its HTTP status and OpenAI error type.

AgentLLMError                  500 api_error
├── InvalidRequest             400 invalid_request_error
│   ├── UnsupportedParameter   400 invalid_request_error
│   └── MalformedSwap          400 invalid_request_error
├── AuthenticationFailed       401 authentication_error
├── SwapRefused                403 permission_error
├── UnknownAgent               404 not_found_error
├── AlreadyDecided             409 conflict_error
├── KeyReused                  409 conflict_error
├── AnswerLost                 409 conflict_error
├── ConversationBusy           429 rate_limit_error
├── BudgetExceeded             429 budget_exceeded
├── AgentUnavailable           503 service_unavailable_error
├── StoreUnavailable           503 service_unavailable_error
├── AgentFailed                500 api_error
│   ├── ModelFailed            the provider's status
│   │   ├── ModelKeyRefused        401 authentication_error
│   │   ├── ModelRateLimited       429 rate_limit_error
│   │   ├── ContextTooLong         400 invalid_request_error
│   │   ├── ContentRefused         400 invalid_request_error
│   │   ├── ModelRequestRefused    400 invalid_request_error
│   │   ├── ModelTimedOut          504 timeout_error
│   │   └── ProviderDown           503 api_error
│   ├── MalformedAnswer        502 api_error
│   └── RunTimedOut            504 timeout_error
└── ConfigurationError         (stops the start; never leaves the process)

A message is written for the client: it names the value, the limit and the way out, and holds
no traceback, no file path and no secret. What only the operator may see goes to the log, which
is told the types of other errors and their places: what they say may be what somebody said.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator


class AgentLLMError(Exception):
    """Base of all errors here."""

    status: int = 500
    type: str = "api_error"
    retry_after: int | None = None
    """Seconds after which the same request may go well; None where nothing is known of that."""
    ran_nothing: bool = False
    """Whether it is raised only before anything of the turn ran: what waited for a decision then still does."""

    @property
    def message(self) -> str:
        return str(self)


class InvalidRequest(AgentLLMError):
    """The request cannot be served as it is; sending it again changes nothing."""

    status = 400
    type = "invalid_request_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class UnsupportedParameter(InvalidRequest):
    """The agent's model cannot take a parameter of the request."""

    def __init__(self, param: str, model: str) -> None:
        super().__init__(
            f"The model {model!r} of this agent does not take the parameter {param!r}. "
            "Leave it out, or set `drop_params: true` in the proxy's litellm_settings to have it ignored.",
            param=param,
        )


class MalformedSwap(InvalidRequest):
    """A control message, or a value to set, cannot be read; what was in force before still is."""

    ran_nothing = True


class AlreadyDecided(AgentLLMError):
    """What the request decides was decided before."""

    status = 409
    type = "conflict_error"
    ran_nothing = True


class KeyReused(AgentLLMError):
    """The request has the Idempotency-Key of another one; nothing was run."""

    status = 409
    type = "conflict_error"
    ran_nothing = True


class AnswerLost(AgentLLMError):
    """The request has the Idempotency-Key of one whose answer cannot be given again; nothing was run."""

    status = 409
    type = "conflict_error"


class AuthenticationFailed(AgentLLMError):
    """The API key is missing or wrong."""

    status = 401
    type = "authentication_error"


class SwapRefused(AgentLLMError):
    """A model must not be set here; what was in force before still is."""

    status = 403
    type = "permission_error"
    ran_nothing = True


class UnknownAgent(AgentLLMError):
    """No agent has that name."""

    status = 404
    type = "not_found_error"

    def __init__(self, name: str, available: Iterable[str]) -> None:
        shown = name if len(name) <= 80 else f"{name[:80]}…"
        agents = ", ".join(sorted(available)) or "none"
        super().__init__(f"There is no agent {shown!r}. Agents here: {agents}.")


class ConversationBusy(AgentLLMError):
    """Too many requests wait for one conversation already; nothing was run."""

    status = 429
    type = "rate_limit_error"
    ran_nothing = True

    def __init__(self, waiting: int, *, retry_after: int) -> None:
        super().__init__(
            f"This conversation is busy: {waiting} requests wait for it already, and no more may. "
            f"Try again in {retry_after} seconds."
        )
        self.retry_after = retry_after


class BudgetExceeded(AgentLLMError):
    """The caller's budget, or one that the operator has set for a model, is used up; no model was asked."""

    status = 429
    type = "budget_exceeded"


class AgentUnavailable(AgentLLMError):
    """The agent exists but could not be loaded; the cause is in the operator's log."""

    status = 503
    type = "service_unavailable_error"


class StoreUnavailable(AgentLLMError):
    """Conversations cannot be read or written."""

    status = 503
    type = "service_unavailable_error"


class AgentFailed(AgentLLMError):
    """The agent ran and failed."""


class ModelFailed(AgentFailed):
    """The agent's language model failed; `status` is what its provider answered."""

    def __init__(self, message: str, *, status: int = 502, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.type = _TYPES_BY_STATUS.get(status, "api_error")
        self.retry_after = retry_after


class ModelKeyRefused(ModelFailed):
    """The model's provider does not take its key, or not for this model."""

    status = 401
    type = "authentication_error"


class ModelRateLimited(ModelFailed):
    """The model's provider takes no more requests or tokens for now."""

    status = 429
    type = "rate_limit_error"


class ContextTooLong(ModelFailed):
    """The conversation has more tokens than the model takes."""

    status = 400
    type = "invalid_request_error"


class ContentRefused(ModelFailed):
    """A filter of the model's provider refused what was asked or answered."""

    status = 400
    type = "invalid_request_error"


class ModelRequestRefused(ModelFailed):
    """The model's provider calls the request wrong, or does not know the model."""

    status = 400
    type = "invalid_request_error"


class ModelTimedOut(ModelFailed):
    """The model did not answer in time."""

    status = 504
    type = "timeout_error"


class ProviderDown(ModelFailed):
    """The model's provider could not be reached, or failed itself."""

    status = 503


class MalformedAnswer(AgentFailed):
    """The agent's answer is not in the form that the request asks for."""

    status = 502


class RunTimedOut(AgentFailed):
    """The run took longer than its time limit and was stopped."""

    status = 504
    type = "timeout_error"


class ConfigurationError(AgentLLMError):
    """A setting, a file or an agent's name is wrong; the message says which and how to mend it."""


def origin(error: BaseException) -> str:
    """The types of `error` and of those it came from, each with the places in the code, and nothing of their texts."""
    return "\nfrom ".join(f"{type(one).__name__} at:\n{_places(one)}" for one in causes(error))


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error`, what it came from, and so on."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _places(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return "\n".join(f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)


_TYPES_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
}

"""What was asked, whichever wire it came by, and why a request may be refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """One message of the request: its role in OpenAI's words, and its text."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A valid request to the model."""

    model: str
    messages: tuple[Said, ...]
    tools: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()

    @property
    def user_messages(self) -> tuple[str, ...]:
        """The texts of all user messages, oldest first."""
        return tuple(said.text for said in self.messages if said.role == "user")

    @property
    def last_user_message(self) -> str:
        """The newest user message; empty where there is none."""
        return next((said.text for said in reversed(self.messages) if said.role == "user"), "")

    @property
    def tool_results(self) -> tuple[str, ...]:
        """The tool results that end the request, if it ends with any."""
        results: list[str] = []
        for said in reversed(self.messages):
            if said.role != "tool":
                break
            results.append(said.text)
        return tuple(reversed(results))


class RefusedError(Exception):
    """The request is wrong in a way that the real API would refuse; `param` names the place."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param

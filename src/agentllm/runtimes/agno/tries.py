"""Tries of a streamed run: what was said cannot be taken back, so none may begin that would say it again."""

from __future__ import annotations

from typing import Any

from agno.run import agent as agent_events
from agno.run import team as team_events

from agentllm.core import Turn
from agentllm.errors import AgentFailed
from agentllm.runtimes.agno.outcome import Outcome

_BEGUN = (
    agent_events.RunStartedEvent,
    team_events.RunStartedEvent,
    agent_events.RunContinuedEvent,
    team_events.RunContinuedEvent,
)
_ASKED = (agent_events.ModelRequestStartedEvent, team_events.ModelRequestStartedEvent)
_CONTENT = (agent_events.RunContentEvent, team_events.RunContentEvent)


class Tries:
    """The tries of the run of one turn.

    Each begins with the question, but those of a run that `is_continued` with what its model was asked last.
    """

    def __init__(self, turn: Turn, *, is_continued: bool) -> None:
        self._turn = turn
        self._is_continued = is_continued
        self._would_repeat = False

    def check(self, event: Any, outcome: Outcome) -> None:
        """See that `event` does not begin another try in the middle of an answer.

        Raises:
            AgentLLMError: what ended the try before, in its model call as `outcome` says.
        """
        if getattr(event, "run_id", None) != self._turn.id:
            return
        if isinstance(event, _CONTENT):
            self._would_repeat |= bool(event.content)
        elif isinstance(event, _ASKED) and self._is_continued:
            self._would_repeat = False
        elif isinstance(event, _BEGUN) and self._would_repeat:
            raise outcome.failure() or AgentFailed(
                f"The agent {self._turn.agent!r} failed in the middle of its answer, and would have begun again."
            )

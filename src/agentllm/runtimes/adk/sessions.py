"""The session of one run of ADK, and what of its state is kept for the next turn.

ADK shares the state under `app:` between all users of an app, and that under `user:` between all
sessions of a user. Here every run has a session of its own, made of the branch of the conversation
that it stands on. So all state is that of the branch, whatever its prefix: nothing that one caller's
turn sets is seen by another caller, or in another conversation, and an edited message brings back the
state before it. State under `temp:` ends with the run, as in ADK.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from typing import Any

from google.adk.events.event import Event
from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig, ListSessionsResponse
from google.adk.sessions.session import Session
from google.adk.sessions.state import State

from agentllm.core import JsonObject, Turn
from agentllm.errors import AgentFailed

log = logging.getLogger("agentllm.adk")


def session_of(turn: Turn, events: list[Event]) -> Session:
    """The session that `turn` runs in, with what was said before its new message."""
    return Session(
        id=turn.conversation or turn.id,
        app_name=turn.agent,
        user_id=":".join(turn.caller.principal),
        state=copy.deepcopy(dict(turn.state or {})),
        events=events,
    )


class SessionOfRun(BaseSessionService):
    """Serves one run its session, which nothing else can open; nothing of it is stored here."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> Session:
        raise NotImplementedError("A run here has the one session that it was begun with.")

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        own = self._session
        return own if (app_name, user_id, session_id) == (own.app_name, own.user_id, own.id) else None

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        return ListSessionsResponse(sessions=[])

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        raise NotImplementedError("The conversation that a run stands in is not its own to delete.")


def state_to_keep(state: Mapping[str, Any]) -> JsonObject | None:
    """The session state for the next turn.

    Raises:
        AgentFailed: it holds what JSON cannot hold.
    """
    kept = {name: value for name, value in state.items() if not name.startswith(State.TEMP_PREFIX)}
    if not kept:
        return None
    try:
        found: JsonObject = json.loads(json.dumps(kept))
    except (TypeError, ValueError) as error:
        log.error("session state cannot be stored: %s", type(error).__name__)
        raise AgentFailed("The agent's session state holds a value that cannot be stored as JSON.") from None
    return found

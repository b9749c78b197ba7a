"""A client of one A2A agent: what a command line needs of a2a-sdk's."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from a2a.client import (
    A2ACardResolver,
    A2AClientError,
    A2AClientTimeoutError,
    AgentCardResolutionError,
    Client,
    ClientConfig,
    ClientFactory,
)
from a2a.types import GetTaskRequest, Message, Part, Role, SendMessageRequest, StreamResponse, Task, TaskState
from a2a.utils.errors import A2AError
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from agentllm.a2a.logs import hide_quotes
from agentllm.a2a.messages import text_of, text_parts
from agentllm.a2a.table import ENDED, RUNNING
from agentllm.a2a.updates import METADATA
from agentllm.errors import AgentLLMError, AuthenticationFailed

POLL = 0.2
"""Seconds between two looks at a task that goes on after a blocking send."""

_THOUGHT = "adk_thought"
"""ADK's mark in the metadata of a part that holds a thought."""


class Unreachable(AgentLLMError):
    """Nothing answers at the address."""

    status = 503


class NoSuchAgent(AgentLLMError):
    """There is no agent's card at the address."""

    status = 404


class TooLate(AgentLLMError):
    """The answer did not come in time."""

    status = 504


class Refused(AgentLLMError):
    """The agent does not do what it was asked, or failed; `status` is what it says of that."""

    def __init__(self, message: str, *, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class AgentClient:
    """One agent, of whom each message is answered within `timeout` seconds."""

    client: Client
    url: str
    timeout: float

    async def say(self, text: str, context: str) -> AsyncGenerator[str, None]:
        """The pieces of the answer to `text` in the conversation `context`, as they come.

        Raises:
            AgentLLMError: one of the classes here, or `AuthenticationFailed`.
        """
        message = Message(message_id=str(uuid.uuid4()), context_id=context, role=Role.ROLE_USER, parts=text_parts(text))
        answer = _Answer()
        try:
            async with asyncio.timeout(self.timeout):
                async for response in self.client.send_message(SendMessageRequest(message=message)):
                    if piece := answer.take(response):
                        yield piece
                while answer.goes_on:
                    await asyncio.sleep(POLL)
                    task = await self.client.get_task(GetTaskRequest(id=answer.task_id))
                    if piece := answer.take(StreamResponse(task=task)):
                        yield piece
        except (A2AError, TimeoutError, httpx.HTTPError) as error:
            raise _as_ours(error, self.url, self.timeout) from None
        answer.check()


@asynccontextmanager
async def connect(url: str, *, key: str | None, timeout: float) -> AsyncIterator[AgentClient]:
    """The agent whose card is at `url`, or at the well-known path below it; `key` is sent as a bearer token.

    Raises:
        AgentLLMError: one of the classes here, or `AuthenticationFailed`.
    """
    hide_quotes()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(headers=headers, timeout=timeout) as http:
        base, path = _card_place(url)
        try:
            async with asyncio.timeout(timeout):
                card = await A2ACardResolver(http, base).get_agent_card(path)
            made = ClientFactory(ClientConfig(httpx_client=http, streaming=True)).create(card)
        except (A2AError, TimeoutError, httpx.HTTPError) as error:
            raise _as_ours(error, url, timeout) from None
        except ValueError:
            raise NoSuchAgent(f"The agent at {url} does not speak JSON-RPC, as its card says.") from None
        yield AgentClient(made, url, timeout)


class _Answer:
    """An answer that is put together of what the agent tells, whole or in pieces."""

    def __init__(self) -> None:
        self.task_id = ""
        self._state: TaskState = TaskState.TASK_STATE_UNSPECIFIED
        self._artifacts: dict[str, str] = {}
        self._printed = ""
        self._said = ""
        self._metadata: Struct | None = None

    @property
    def goes_on(self) -> bool:
        return bool(self.task_id) and self._state in RUNNING

    def take(self, response: StreamResponse) -> str:
        """What is new in the text of the answer."""
        match response.WhichOneof("payload"):
            case "message":
                self._artifacts["message"] = _text(response.message.parts)
            case "task":
                self._take_task(response.task)
            case "status_update":
                update = response.status_update
                self.task_id = update.task_id
                self._take_state(update.status.state, _text(update.status.message.parts), update.metadata)
            case "artifact_update":
                changed = response.artifact_update
                key, text = changed.artifact.artifact_id, _text(changed.artifact.parts)
                self._artifacts[key] = self._artifacts.get(key, "") + text if changed.append else text
        return self._new()

    def check(self) -> None:
        """See that the answer is one.

        Raises:
            Refused: the agent failed, or does not do it.
        """
        if self._state in ENDED and self._state != TaskState.TASK_STATE_COMPLETED:
            told = MessageToDict(self._metadata).get(METADATA, {}) if self._metadata is not None else {}
            status = int(told.get("error", {}).get("status", 500))
            raise Refused(self._said or "The agent failed and does not say why.", status=status)

    def _take_task(self, task: Task) -> None:
        self.task_id = task.id
        for artifact in task.artifacts:
            self._artifacts[artifact.artifact_id] = _text(artifact.parts)
        self._take_state(task.status.state, _text(task.status.message.parts), task.metadata)

    def _take_state(self, state: TaskState, said: str, metadata: Struct) -> None:
        self._state, self._metadata = state, metadata
        self._said = said or self._said
        is_over = state not in RUNNING
        if is_over and said and not self._artifacts and (state not in ENDED or state == TaskState.TASK_STATE_COMPLETED):
            self._artifacts["status"] = said

    def _new(self) -> str:
        text = "".join(self._artifacts.values())
        goes_on, before = text.startswith(self._printed), len(self._printed)
        self._printed = text
        return text[before:] if goes_on else f"\n{text}"


def _text(parts: Iterable[Part]) -> str:
    return text_of(part for part in parts if not MessageToDict(part.metadata).get(_THOUGHT))


def _card_place(url: str) -> tuple[str, str | None]:
    if not urlsplit(url).path.endswith(".json"):
        return url, None
    base, _, name = url.rpartition("/")
    return base, name


def _as_ours(error: Exception, url: str, timeout: float) -> AgentLLMError:
    """`error` of the SDK as one of ours, by what it came from."""
    cause = error.__cause__
    status = cause.response.status_code if isinstance(cause, httpx.HTTPStatusError) else None
    if isinstance(error, (TimeoutError, A2AClientTimeoutError)) or isinstance(cause, httpx.TimeoutException):
        return TooLate(f"{url} did not answer within {timeout:g} seconds. Give it longer with --timeout.")
    if isinstance(error, httpx.TransportError) or isinstance(cause, httpx.TransportError):
        return Unreachable(f"{url} cannot be reached. See that the server runs, and that host and port are right.")
    if status in (401, 403):
        return AuthenticationFailed(f"{url} does not take the key (status {status}). Give another with --key.")
    if isinstance(error, AgentCardResolutionError):
        seen = f"status {status}" if status is not None else "something else"
        return NoSuchAgent(f"There is no agent's card at {url} ({seen}). Give the URL of an agent, or of its card.")
    said = error.message if isinstance(error, A2AError) and not isinstance(error, A2AClientError) else str(error)
    return Refused(said, status=status or 500)

"""A2A agents in this process: the server's applications with callers of a test's choosing, and clients for them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import httpx
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.server.context import ServerCallContext
from a2a.types import Message, Part, Role, SendMessageRequest, StreamResponse

from agentllm.a2a.asker import ASKER, Received
from agentllm.a2a.cards import card_of
from agentllm.a2a.server import Server
from agentllm.conversations import Conversations
from agentllm.core import Agent, Caller, Event, Place, Runtime, Turn
from agentllm.core import Message as Said
from agentllm.errors import InvalidRequest
from agentllm.hotswap.policy import refused
from agentllm.hotswap.swapping import Swapping
from agentllm.runtimes.questions import Asking

ADA, BOB = Caller("key-of-ada"), Caller("key-of-bob")
URL = "http://agents.invalid/"


class AllowingRed:
    """Lets the model `red` be set and no other."""

    async def allow(self, model: str) -> str:
        return self.allow_now(model)

    def allow_now(self, model: str) -> str:
        if model != "red":
            raise refused(model, "it is not red", ["red"])
        return model


@dataclass(frozen=True)
class Asker:
    """Implements `agentllm.a2a.asker.Asker` without a proxy."""

    conversations: Conversations
    served: Agent
    caller: Caller = ADA

    @property
    def agent(self) -> str:
        return self.served.name

    async def turn(self, received: Received) -> Turn:
        text = "\n".join(str(part.get("text")) for part in received.content)
        if "unreadable" in text:
            raise InvalidRequest("It cannot be read.")
        place = Place(received.context or uuid.uuid4().hex)
        return Turn(str(uuid.uuid4()), self.agent, self.caller, (Said("user", text),), stream=True, place=place)

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        swapping = Swapping(Asking(self.served.runtime), AllowingRed())
        async with aclosing(self.conversations.run(swapping, turn)) as events:
            async for event in events:
                yield event


def context_of(conversations: Conversations, runtime: Runtime, caller: Caller = ADA) -> ServerCallContext:
    """What the SDK knows of a request of `caller`."""
    return ServerCallContext(state={ASKER: Asker(conversations, Agent("demo", "", runtime), caller)})


@dataclass
class Here:
    """One agent, served in this process."""

    conversations: Conversations
    server: Server
    agent: Agent

    @classmethod
    async def open(cls, conversations: Conversations, runtime: Runtime) -> Here:
        server = Server(conversations)
        await server.open()
        return cls(conversations, server, Agent("demo", "A demo.", runtime))

    @asynccontextmanager
    async def client(self, caller: Caller = ADA, *, stream: bool = True) -> AsyncIterator[Client]:
        app = self.server.app(self.agent)

        async def known(scope: object, receive: object, send: object) -> None:
            assert isinstance(scope, dict)
            asker = Asker(self.conversations, self.agent, caller)
            await app({**scope, ASKER: asker}, receive, send)  # type: ignore[arg-type]  # httpx has types of its own

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=known), timeout=30) as http:
            config = ClientConfig(httpx_client=http, streaming=stream)
            yield ClientFactory(config).create(card_of(self.agent, URL))


def message(text: str, *, context: str = "", task: str = "") -> SendMessageRequest:
    parts = [Part(text=text)]
    made = Message(message_id=uuid.uuid4().hex, role=Role.ROLE_USER, parts=parts, context_id=context, task_id=task)
    return SendMessageRequest(message=made)


async def told(client: Client, text: str, **where: str) -> list[StreamResponse]:
    """All that the client is told of a message."""
    return [response async for response in client.send_message(message(text, **where))]

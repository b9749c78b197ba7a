"""Answers with calls of tools, as clients put them together, and two proxies with one store to ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openai import OpenAI

from agentllm.keys import KeyFile, make_key
from tests.proxy import Proxy
from tests.scripted_llm import ScriptedLLM


@dataclass(frozen=True, slots=True)
class Pair:
    """Two proxies with the same store, the key of another person, and what the agent `approving` has done."""

    one: Proxy
    other: Proxy
    key_of_bob: str
    did: Path

    @property
    def done(self) -> list[str]:
        return self.did.read_text().splitlines()


def shared(folder: Path) -> dict[str, str]:
    """What makes the proxies of `folder` share a store, keys and a record of what was done."""
    return {
        "AGENTLLM_DATA_DIR": str(folder / "data"),
        "AGENTLLM_KEYS": str(folder / "keys.yaml"),
        "APPROVING_DID": str(folder / "did"),
    }


@contextmanager
def open_pair(folder: Path, llm_environment: Mapping[str, str]) -> Iterator[Pair]:
    """The two proxies, whose models are those of `llm_environment`."""
    key_of_bob, bob = make_key("bob", user="bob")
    KeyFile(folder / "keys.yaml").add(bob)
    (folder / "did").touch()
    environment = {**llm_environment, **shared(folder)}
    with Proxy(folder / "one", environment) as one, Proxy(folder / "other", environment) as other:
        yield Pair(one, other, key_of_bob, folder / "did")


def client_of(proxy: Proxy, key: str | None = None) -> OpenAI:
    return OpenAI(base_url=proxy.base_url, api_key=key or proxy.key, max_retries=0, timeout=30)


@dataclass(slots=True)
class Said:
    """An answer, plain or streamed."""

    text: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None
    id: str = ""

    @property
    def message(self) -> dict[str, Any]:
        """As clients send it back."""
        return {"role": "assistant", "content": self.text or None, "tool_calls": self.calls}

    @property
    def names(self) -> list[str]:
        return [call["function"]["name"] for call in self.calls]

    def answered(self, question: dict[str, Any], *contents: str) -> list[dict[str, Any]]:
        """The transcript of a question and of it, with results of its calls in their order."""
        results = zip(self.calls, contents, strict=True)
        tools = [{"role": "tool", "tool_call_id": call["id"], "content": content} for call, content in results]
        return [question, self.message, *tools]

    def take(self, chunk: Any) -> None:
        """Add a chunk of a stream, as clients do."""
        for choice in chunk.choices:
            self.id = chunk.id
            self.text += choice.delta.content or ""
            self.reason = choice.finish_reason or self.reason
            for piece in choice.delta.tool_calls or ():
                while len(self.calls) <= piece.index:
                    self.calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
                call = self.calls[piece.index]
                call["id"] += piece.id or ""
                call["function"]["name"] += piece.function.name or ""
                call["function"]["arguments"] += piece.function.arguments or ""


def of_message(answer: Any) -> Said:
    choice = answer.choices[0]
    calls = [call.model_dump(exclude_none=True) for call in choice.message.tool_calls or ()]
    for call in calls:
        call.pop("index", None)
    return Said(choice.message.content or "", calls, choice.finish_reason, answer.id)


def asked(llm: ScriptedLLM) -> list[tuple[str, str]]:
    """The conversation that the model was given last, calls of tools as their names."""

    def text(message: Mapping[str, Any]) -> str:
        names = [call["function"]["name"] for call in message.get("tool_calls") or ()]
        return " ".join(filter(None, [message.get("content") or "", *names]))

    return [(message["role"], text(message)) for message in llm.requests()[-1].body["messages"]]

"""Hot-swap in plain ADK: a session's model and prompt, set by messages and by tools."""

from __future__ import annotations

from typing import Any

import pytest
from google.adk.agents import LlmAgent
from google.adk.runners import InMemoryRunner
from google.adk.sessions import Session
from google.genai import types

from agentllm.errors import SwapRefused
from agentllm.hotswap.tools import get_config, set_model, set_prompt
from agentllm.runtimes.adk.in_session import MODEL, PROMPT, SwapTool, allow, answer_control, prompt_or, take_model
from agentllm.settings import load_settings
from tests.runtimes.adk.spoken import Spoken, called, speaking

SET = "[HOTSWAP:MODEL:openai/gpt-two]\n[HOTSWAP:PROMPT:Speak up.]"


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTLLM_SWAP_MODELS", "openai/gpt-*")
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    load_settings.cache_clear()


class Talk:
    """An agent that can be swapped, and sessions with it."""

    def __init__(self, model: Spoken) -> None:
        self.model = model
        agent = LlmAgent(
            name="agent",
            model=model,
            instruction=prompt_or("Be quiet."),
            tools=[SwapTool(set_model), SwapTool(set_prompt), SwapTool(get_config)],
            before_agent_callback=answer_control,
            before_model_callback=take_model,
        )
        self._runner = InMemoryRunner(agent=agent, app_name="app")

    async def begin(self, user: str) -> Session:
        return await self._runner.session_service.create_session(app_name="app", user_id=user)

    async def say(self, session: Session, text: str) -> str:
        message = types.Content(role="user", parts=[types.Part(text=text)])
        said = ""
        async for event in self._runner.run_async(user_id=session.user_id, session_id=session.id, new_message=message):
            said = str(event.content.parts[-1].text) if event.content and event.content.parts else said
        return said

    async def state(self, session: Session) -> dict[str, Any]:
        found = await self._runner.session_service.get_session(
            app_name="app", user_id=session.user_id, session_id=session.id
        )
        assert found is not None
        return found.state

    @property
    def asked(self) -> list[tuple[str | None, str, list[str | None]]]:
        """The model, the instruction and the texts of each call."""
        return [
            (r.model, str(r.config.system_instruction).split("\n")[0], [(c.parts or [])[0].text for c in r.contents])
            for r in self.model.asked
        ]


async def test_a_control_message_is_answered_without_a_model_and_counts_for_its_session_alone() -> None:
    talk = Talk(speaking())
    one, same_user, other = await talk.begin("ann"), await talk.begin("ann"), await talk.begin("bob")
    assert "openai/gpt-two" in await talk.say(one, SET)
    assert talk.model.asked == []
    for session in (one, same_user, other):
        await talk.say(session, "hello")
    assert talk.asked == [
        ("openai/gpt-two", "Speak up.", ["hello"]),
        ("spoken", "Be quiet.", ["hello"]),
        ("spoken", "Be quiet.", ["hello"]),
    ]
    assert await talk.state(one) == {MODEL: "openai/gpt-two", PROMPT: "Speak up."}
    assert await talk.state(same_user) == {}


async def test_nothing_after_the_colon_brings_back_the_agent_s_own() -> None:
    talk = Talk(speaking())
    session = await talk.begin("ann")
    await talk.say(session, SET)
    await talk.say(session, "[HOTSWAP:MODEL:]\n[HOTSWAP:PROMPT:]")
    await talk.say(session, "hello")
    assert talk.asked == [("spoken", "Be quiet.", ["hello"])]


@pytest.mark.parametrize("message", ["[HOTSWAP:MODEL:openai/other]", "[HOTSWAP:PROMPT:x] and more", "[HOTSWAP:WHAT]"])
async def test_what_is_refused_changes_nothing_and_is_told(message: str) -> None:
    talk = Talk(speaking())
    session = await talk.begin("ann")
    assert "Nothing was changed" in await talk.say(session, message)
    assert await talk.state(session) == {}
    assert talk.model.asked == []


async def test_a_tool_sets_it_from_the_next_call_of_the_model_on() -> None:
    talk = Talk(speaking([called("set_model", model="gpt-two", custom_llm_provider="openai")], "done"))
    session = await talk.begin("ann")
    await talk.say(session, "switch please")
    assert [model for model, *_ in talk.asked] == ["spoken", "openai/gpt-two"]
    assert await talk.state(session) == {MODEL: "openai/gpt-two"}


@pytest.mark.parametrize(
    ("model", "because"), [("anthropic/claude", "may be used"), ("openai/gpt-x", "OPENAI_API_KEY is not set")]
)
def test_a_model_that_cannot_answer_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, model: str, because: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(SwapRefused, match=because):
        allow(model)

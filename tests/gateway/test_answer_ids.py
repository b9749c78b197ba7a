"""The forms of an answer's id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litellm.proxy import proxy_server
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.hooks.responses_id_security import ResponsesIDSecurity
from litellm.responses.utils import ResponsesAPIRequestUtils
from litellm.types.llms.openai import ResponsesAPIResponse

from agentllm.gateway.answer_ids import AnswerId, read_answer_id

TURN = "5f2f4a9e-0d5c-4f0e-9d53-8f1d4d0f3c11"


def response(provider: str = "agno") -> ResponsesAPIResponse:
    """An answer of the Responses API as LiteLLM makes it of one of ours."""
    made = ResponsesAPIResponse(id=f"chatcmpl-{TURN}", created_at=0, output=[], model="agno/demo")
    return ResponsesAPIRequestUtils.update_responses_api_response_id_with_model_id(
        made, provider, {"model_info": {"id": "agentllm-agno-demo"}}
    )


async def advertised(*, user: str | None, team: str | None, provider: str = "agno") -> str:
    """The id that LiteLLM's proxy gives a client."""
    caller = UserAPIKeyAuth(api_key="k", user_id=user, team_id=team)
    made = await ResponsesIDSecurity().async_post_call_success_hook({}, caller, response(provider))
    assert isinstance(made, ResponsesAPIResponse)
    return made.id


@pytest.mark.parametrize("given", [TURN, f"chatcmpl-{TURN}"])
def test_an_answer_of_a_chat_completion_is_its_turn(given: str) -> None:
    assert read_answer_id(given) == AnswerId(TURN)


def test_an_answer_of_the_responses_api_is_its_turn_and_an_agent_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_server, "master_key", None)
    read = read_answer_id(response().id)
    assert read == AnswerId(TURN, "agno")
    assert read.is_of_an_agent
    assert not read_answer_id(response("openai").id).is_of_an_agent


@pytest.mark.parametrize(("user", "team"), [(None, None), ("ada", None), ("ada", "team"), ("a;b", "response_id:x")])
async def test_an_id_that_the_proxy_encrypted_is_read(
    monkeypatch: pytest.MonkeyPatch, user: str | None, team: str | None
) -> None:
    monkeypatch.setattr(proxy_server, "master_key", "sk-a-master-key")
    given = await advertised(user=user, team=team)
    assert TURN not in given
    assert read_answer_id(given) == AnswerId(TURN, "agno")
    monkeypatch.setattr(proxy_server, "master_key", "sk-another-master-key")
    assert read_answer_id(given).turn != TURN


@given(st.text() | st.text().map(lambda text: f"resp_{text}"))
def test_any_text_is_read(given: str) -> None:
    assert isinstance(read_answer_id(given).turn, str)

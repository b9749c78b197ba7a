"""Keys of a proxy without a database."""

from __future__ import annotations

import pytest
from fastapi import Request
from litellm.proxy import proxy_server
from litellm.proxy._types import LitellmUserRoles, ProxyException

from agentllm.gateway.auth import custom_auth
from agentllm.gateway.request import MASTER_KEY

REQUEST = Request({"type": "http", "headers": []})


@pytest.fixture(autouse=True)
def master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_server, "master_key", "sk-right")


@pytest.mark.parametrize("given", ["sk-right", "Bearer sk-right"])
async def test_the_master_key_opens_everything_under_litellm_s_name_for_it(given: str) -> None:
    known = await custom_auth(REQUEST, given)
    assert known.api_key == MASTER_KEY
    assert known.user_role == LitellmUserRoles.PROXY_ADMIN


@pytest.mark.parametrize("given", ["sk-wrong", "sk-righ", "sk-right ", "", "Bearer ", "Bearer", "ключ", "x" * 10_000])
async def test_any_other_key_is_401_in_openai_s_form_and_not_repeated(given: str) -> None:
    with pytest.raises(ProxyException) as raised:
        await custom_auth(REQUEST, given)
    assert (raised.value.code, raised.value.type) == ("401", "authentication_error")
    assert "sk-wrong" not in raised.value.message
    assert "Authorization: Bearer" in raised.value.message


@pytest.mark.parametrize("master", [None, ""])
@pytest.mark.parametrize("given", ["", "sk-right", "None"])
async def test_without_a_master_key_no_key_is_right(
    given: str, master: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_server, "master_key", master)
    with pytest.raises(ProxyException):
        await custom_auth(REQUEST, given)

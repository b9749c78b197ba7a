"""Keys of a proxy without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import litellm
import pytest
from fastapi import Request
from litellm.proxy import proxy_server
from litellm.proxy._types import LitellmUserRoles, ProxyException, hash_token
from litellm.router import Router

from agentllm.gateway.auth import custom_auth
from agentllm.gateway.callers import MASTER_KEY
from agentllm.keys import Key, KeyFile, make_key


def request_to(path: str) -> Request:
    return Request(
        {"type": "http", "method": "POST", "headers": [], "path": path, "query_string": b"", "root_path": ""}
    )


REQUEST = request_to("/v1/chat/completions")


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


class TestKeysOfTheFile:
    @pytest.fixture
    def file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyFile:
        path = tmp_path / "keys.yaml"
        monkeypatch.setenv("AGENTLLM_KEYS", str(path))
        monkeypatch.setattr(litellm, "enable_post_custom_auth_checks", False, raising=False)
        monkeypatch.setattr(proxy_server, "general_settings", {})
        return KeyFile(path)

    @staticmethod
    def added(file: KeyFile, **more: Any) -> str:
        secret, key = make_key("ada-1", user="ada", **more)
        file.add(key)
        return secret

    async def test_a_key_is_its_user_s_and_no_administrator_s(self, file: KeyFile) -> None:
        secret = self.added(file, team="t", rpm=5, expires="1h")
        known = await custom_auth(REQUEST, f"Bearer {secret}")
        assert known.api_key == known.token == hash_token(secret)
        assert (known.key_alias, known.user_id, known.team_id, known.rpm_limit) == ("ada-1", "ada", "t", 5)
        assert known.user_role == LitellmUserRoles.INTERNAL_USER
        assert known.models == []
        assert known.expires is not None
        assert not any("key" in route or "config" in route for route in known.allowed_routes or ["key"])

    @pytest.mark.parametrize("path", ["/v1/models", "/models/agno/demo", "/v1/responses/resp_1", "/v1/messages"])
    async def test_it_opens_what_leads_to_models(self, file: KeyFile, path: str) -> None:
        assert (await custom_auth(request_to(path), self.added(file))).user_id == "ada"

    @pytest.mark.parametrize(
        "path", ["/", "/key/generate", "/v1/modelsx", "/model/new", "/v1/files", "/v1beta/models/x"]
    )
    async def test_it_opens_nothing_else(self, file: KeyFile, path: str) -> None:
        with pytest.raises(ProxyException) as raised:
            await custom_auth(request_to(path), self.added(file))
        assert (raised.value.code, raised.value.type) == ("403", "permission_error")
        assert (await custom_auth(request_to(path), "sk-right")).user_role == LitellmUserRoles.PROXY_ADMIN

    async def test_litellm_is_made_to_check_what_a_key_may_do(self, file: KeyFile) -> None:
        await custom_auth(REQUEST, self.added(file))
        assert litellm.enable_post_custom_auth_checks is True
        assert proxy_server.general_settings["custom_auth_run_common_checks"] is True

    async def test_its_models_are_named_one_by_one(self, file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
        deployments = [{"model_name": name, "litellm_params": {"model": "openai/x"}} for name in ("a/1", "a/2", "b")]
        router = Router(model_list=deployments, model_group_alias={"a/alias": "b"})
        monkeypatch.setattr(proxy_server, "llm_router", router)
        known = await custom_auth(REQUEST, self.added(file, models=["a/*", "none"]))
        assert known.models == ["a/*", "none", "a/1", "a/2", "a/alias"]
        monkeypatch.setattr(proxy_server, "llm_router", None)

    async def test_the_master_key_is_the_master_key_all_the_same(self, file: KeyFile) -> None:
        self.added(file)
        assert (await custom_auth(REQUEST, "sk-right")).user_role == LitellmUserRoles.PROXY_ADMIN

    @pytest.mark.parametrize("given", ["sk-wrong", "", "x" * 5_000])
    async def test_any_other_key_is_401(self, file: KeyFile, given: str) -> None:
        self.added(file)
        with pytest.raises(ProxyException) as raised:
            await custom_auth(REQUEST, given)
        assert (raised.value.code, raised.value.type) == ("401", "authentication_error")

    async def test_the_hash_of_a_key_is_no_key(self, file: KeyFile) -> None:
        with pytest.raises(ProxyException):
            await custom_auth(REQUEST, hash_token(self.added(file)))

    async def test_an_expired_key_is_401_and_says_since_when(self, file: KeyFile) -> None:
        secret = "sk-expired"
        file.add(Key(hash=hash_token(secret), alias="old", expires=datetime(2026, 1, 1, tzinfo=UTC)))
        with pytest.raises(ProxyException) as raised:
            await custom_auth(REQUEST, secret)
        assert (raised.value.code, raised.value.type) == ("401", "authentication_error")
        assert "2026-01-01" in raised.value.message

    async def test_a_revoked_key_is_401_with_the_next_request(self, file: KeyFile) -> None:
        secret = self.added(file)
        await custom_auth(REQUEST, secret)
        file.revoke("ada-1")
        with pytest.raises(ProxyException):
            await custom_auth(REQUEST, secret)

    @pytest.mark.usefixtures("file")
    async def test_a_file_that_is_not_there_yet_holds_no_keys(self) -> None:
        with pytest.raises(ProxyException):
            await custom_auth(REQUEST, "sk-any")

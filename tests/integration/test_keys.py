"""Keys of the file and forwarded people, through running proxies: who is let in, to what, and as whom."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from openai import APIStatusError, OpenAI

from agentllm.keys import KeyFile, make_key
from tests.integration.checks import asked
from tests.integration.conftest import llm_environment
from tests.integration.test_errors import error_of
from tests.integration.test_sessions import session
from tests.proxy import Proxy
from tests.scripted_llm import ScriptedLLM

SECRET = "the front end's secret, 32 bytes or more"
MASTER = Proxy.key


class Keys:
    """The file of keys of a running proxy, and the keys themselves."""

    def __init__(self, path: Path) -> None:
        self.file = KeyFile(path)

    def add(self, alias: str, *, user: str | None = None, **more: Any) -> str:
        """A new key."""
        secret, key = make_key(alias, user=user or alias, **more)
        self.file.add(key)
        return secret


@pytest.fixture(scope="module")
def keyed(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Keys]]:
    """A proxy that starts without a file of keys, and trusts the master key and two others as front ends."""
    folder: Path = tmp_path_factory.mktemp("keyed")
    path = folder / "keys.yaml"
    environment = {"AGENTLLM_KEYS": str(path), "AGENTLLM_TRUSTED_FRONTENDS": "master, webui, slack"}
    with Proxy(folder, {**llm_environment(running_llm), **environment}) as proxy:
        assert str(path) in proxy.log
        yield proxy, Keys(path)


@pytest.fixture(scope="module")
def proxy(keyed: tuple[Proxy, Keys]) -> Proxy:
    return keyed[0]


@pytest.fixture
def keys(keyed: tuple[Proxy, Keys]) -> Keys:
    """The file, with no key in it."""
    keyed[1].file.path.unlink(missing_ok=True)
    return keyed[1]


def say(
    proxy: Proxy, key: str, content: str = "hi", headers: Mapping[str, str] | None = None, *,
    model: str = "agno/echo", **body: Any,
) -> str:  # fmt: skip
    """The answer to one new message, asked with a key."""
    with OpenAI(base_url=proxy.base_url, api_key=key, max_retries=0, timeout=30) as client:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": content}], extra_headers=headers, extra_body=body
        )
    return str(answer.choices[0].message.content)


def refusal(proxy: Proxy, key: str, headers: Mapping[str, str] | None = None, **more: Any) -> APIStatusError:
    with pytest.raises(APIStatusError) as raised:
        say(proxy, key, headers=headers, **more)
    return raised.value


def in_session(name: str, **headers: str) -> dict[str, str]:
    return {"x-agentllm-session-id": name, **{name.replace("_", "-"): value for name, value in headers.items()}}


def remembers(proxy: Proxy, llm: ScriptedLLM, key: str, headers: Mapping[str, str], **body: Any) -> list[str]:
    """What the model is given of the conversation when the key's caller says "again" in it."""
    say(proxy, key, "again", headers, **body)
    return [content for role, content in asked(llm) if role == "user"][:-1]


# Whose conversation it is


def test_two_people_s_keys_never_meet_in_one_session(proxy: Proxy, keys: Keys, llm: ScriptedLLM) -> None:
    ada, bob, other_of_ada = keys.add("ada"), keys.add("bob"), keys.add("ada-2", user="ada")
    headers = in_session(session())
    say(proxy, ada, "of ada", headers)
    assert remembers(proxy, llm, bob, headers) == []
    assert remembers(proxy, llm, MASTER, headers) == []
    assert remembers(proxy, llm, other_of_ada, headers) == ["of ada"]


def test_a_person_forwarded_with_an_untrusted_key_is_ignored(proxy: Proxy, keys: Keys, llm: ScriptedLLM) -> None:
    trusted, plain = keys.add("webui"), keys.add("plain")
    name = session()
    for of_ada in (
        in_session(name, x_openwebui_user_id="ada"),
        in_session(name, x_openwebui_user_email="ada@example.org"),
        in_session(name, x_openwebui_user_jwt="forged"),
    ):
        say(proxy, plain, "of plain", of_ada)
    assert remembers(proxy, llm, plain, in_session(name)) == ["of plain"] * 3
    assert remembers(proxy, llm, trusted, in_session(name, x_openwebui_user_id="ada")) == []


def test_the_people_of_a_trusted_front_end_are_several_callers(proxy: Proxy, keys: Keys, llm: ScriptedLLM) -> None:
    key = keys.add("webui")
    name = session()
    ada, bob = in_session(name, x_openwebui_user_id="ada"), in_session(name, x_openwebui_user_id="bob")
    say(proxy, key, "of ada", ada)
    assert remembers(proxy, llm, key, bob) == []
    assert remembers(proxy, llm, key, in_session(name)) == []
    assert remembers(proxy, llm, key, ada) == ["of ada"]


def test_the_people_of_two_front_ends_never_meet_even_under_one_user(
    proxy: Proxy, keys: Keys, llm: ScriptedLLM
) -> None:
    headers = in_session(session(), x_openwebui_user_id="ada")
    webui, slack = keys.add("webui", user="ops"), keys.add("slack", user="ops")
    say(proxy, webui, "of ada at webui", headers)
    assert remembers(proxy, llm, slack, headers) == []
    assert remembers(proxy, llm, MASTER, headers) == []


def test_a_front_end_s_new_key_has_the_people_of_the_old_one(proxy: Proxy, keys: Keys, llm: ScriptedLLM) -> None:
    headers = in_session(session(), x_openwebui_user_id="ada")
    say(proxy, keys.add("webui"), "of ada", headers)
    keys.file.revoke("webui")
    assert remembers(proxy, llm, keys.add("webui"), headers) == ["of ada"]


@pytest.mark.parametrize("name", ["metadata", "litellm_metadata"])
def test_nothing_in_a_body_chooses_whose_conversation_it_is(
    proxy: Proxy, keys: Keys, llm: ScriptedLLM, name: str
) -> None:
    ada, eve = keys.add("ada"), keys.add("eve")
    headers = in_session(session())
    say(proxy, ada, "of ada", headers)
    say(proxy, MASTER, "of ada at the master key", {**headers, "x-openwebui-user-id": "ada"})
    claims = {
        "user_id": "ada",
        "user_api_key_user_id": "ada",
        "user_api_key_hash": "litellm_proxy_master_key",
        "user_api_key_alias": "webui",
        "headers": {"x-openwebui-user-id": "ada"},
    }
    assert remembers(proxy, llm, eve, headers, user="ada", **{name: claims}) == []
    assert remembers(proxy, llm, MASTER, headers, user="ada", **{name: claims}) == []


def test_a_token_that_cannot_be_verified_here_is_refused_and_the_setting_named(proxy: Proxy) -> None:
    error = refusal(proxy, MASTER, {"x-openwebui-user-jwt": token()})
    assert error.status_code == 401
    assert "AGENTLLM_OPENWEBUI_JWT_SECRET" in error_of(error)["message"]


# What a key may do


def test_a_key_may_use_its_models_alone_and_sees_no_others(proxy: Proxy, keys: Keys) -> None:
    named, pattern, every = keys.add("n", models=["agno/echo"]), keys.add("p", models=["agno/e*"]), keys.add("a")
    assert say(proxy, named) == say(proxy, pattern) == say(proxy, every) == "echo: hi"
    assert listed(proxy, named) == ["agno/echo"]
    assert "agno/echo" in listed(proxy, pattern)
    assert all(name.startswith("agno/e") for name in listed(proxy, pattern))
    assert listed(proxy, every) == listed(proxy, MASTER)
    for key in (named, pattern):
        for model in ("agno/routed", "gemini-2.5-pro"):
            error = refusal(proxy, key, model=model)
            assert (error.status_code, error_of(error)["param"]) == (403, "model")
    assert say(proxy, every, model="agno/routed") == "echo: hi"


@pytest.mark.parametrize("path", ["/responses", "/messages", "/completions", "/embeddings"])
def test_a_key_s_models_count_on_every_way_to_them(proxy: Proxy, keys: Keys, path: str) -> None:
    key = keys.add("n", models=["agno/echo"])
    body = {"model": "agno/routed", "input": "hi", "prompt": "hi", "max_tokens": 9}
    body |= {"messages": [{"role": "user", "content": "hi"}]} if path == "/messages" else {}
    assert request(proxy, key, "POST", f"/v1{path}", body).status_code == 403
    google = {"contents": [{"parts": [{"text": "hi"}]}]}
    assert request(proxy, key, "POST", "/models/agno/routed:generateContent", google).status_code == 403


def test_a_key_is_as_fast_as_its_rate_and_another_one_is_not_slowed(proxy: Proxy, keys: Keys) -> None:
    slow, quick = keys.add("slow", rpm=2), keys.add("quick")
    body = {"model": "agno/echo", "messages": [{"role": "user", "content": "hi"}]}
    answers = [request(proxy, slow, "POST", "/v1/chat/completions", body) for _ in range(5)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:2] == [200, 200]
    assert 429 in statuses
    assert answers[statuses.index(429)].json()["error"]["code"] == "429"
    assert say(proxy, quick) == "echo: hi"


def test_a_key_is_good_and_no_longer_good_without_a_restart(proxy: Proxy, keys: Keys) -> None:
    key = keys.add("ada")
    assert say(proxy, key) == "echo: hi"
    keys.file.revoke("ada")
    assert_unauthorized(proxy, key)
    assert say(proxy, MASTER) == "echo: hi"


def test_an_expired_key_is_refused_from_that_moment_on(proxy: Proxy, keys: Keys) -> None:
    key = keys.add("ada", expires="1h")
    assert say(proxy, key) == "echo: hi"
    path = keys.file.path
    path.write_text(re.sub("expires: .*", "expires: 2026-01-01", path.read_text()))
    assert_unauthorized(proxy, key)


def test_a_file_that_an_edit_broke_is_logged_with_its_line_and_changes_nothing(proxy: Proxy, keys: Keys) -> None:
    key = keys.add("ada")
    assert say(proxy, key) == "echo: hi"
    path = keys.file.path
    good = path.read_text()
    path.write_text(f"{good}- hash: x\n  alias: b\n")
    assert say(proxy, key) == "echo: hi"
    line = good.count("\n") + 1
    assert f"{path}, line {line}" in proxy.log
    path.write_text(good)
    assert say(proxy, key) == "echo: hi"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/key/generate", {}),
        ("POST", "/key/delete", {"keys": ["x"]}),
        ("GET", "/key/list", None),
        ("GET", "/key/info", None),
        ("POST", "/user/new", {}),
        ("GET", "/user/info", None),
        ("POST", "/team/new", {}),
        ("POST", "/model/new", {"model_name": "x", "litellm_params": {"model": "x"}}),
        ("POST", "/model/delete", {"id": "x"}),
        ("POST", "/config/update", {}),
        ("GET", "/get/config/callbacks", None),
        ("GET", "/config/yaml", None),
        ("GET", "/spend/logs", None),
        ("GET", "/global/spend", None),
        ("GET", "/health", None),
        ("POST", "/cache/flushall", None),
        ("POST", "/v1/agents", {}),
        ("GET", "/v1/files", None),
        ("GET", "/openai/v1/models", None),
        ("POST", "/anthropic/v1/messages", {}),
    ],
)
def test_what_is_for_administrators_or_shared_is_closed_to_a_key_of_the_file(
    proxy: Proxy, keys: Keys, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = request(proxy, keys.add("ada"), method, path, body)
    assert answer.status_code == 403, answer.text
    assert answer.json()["error"]["type"] == "permission_error"


def listed(proxy: Proxy, key: str) -> list[str]:
    return sorted(model["id"] for model in request(proxy, key, "GET", "/v1/models").json()["data"])


def request(proxy: Proxy, key: str, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.request(method, f"{proxy.url}{path}", json=body, headers=headers, timeout=30)


def assert_unauthorized(proxy: Proxy, key: str) -> None:
    for stream in (False, True):
        error = refusal(proxy, key, stream=stream)
        assert (error.status_code, error_of(error)["type"]) == (401, "authentication_error")
        assert key not in error.response.text
    assert request(proxy, key, "GET", "/v1/models").status_code == 401
    assert key not in proxy.log


# Signed people


@pytest.fixture(scope="module")
def signing(running_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that verifies the tokens of its front ends."""
    environment = {**llm_environment(running_llm), "AGENTLLM_OPENWEBUI_JWT_SECRET": SECRET}
    with Proxy(tmp_path_factory.mktemp("signing"), environment) as running:
        yield running


def token(
    sub: str = "ada", *, secret: str = SECRET, algorithm: str = "HS256", seconds: float = 300, **more: Any
) -> str:
    claims = {"sub": sub, "iss": "open-webui", "iat": int(time.time()), "exp": time.time() + seconds, **more}
    return jwt.encode({name: value for name, value in claims.items() if value}, secret, algorithm=algorithm)


def test_a_signed_person_is_another_caller_than_the_next(signing: Proxy, llm: ScriptedLLM) -> None:
    name = session()
    say(signing, MASTER, "of ada", in_session(name, x_openwebui_user_jwt=token()))
    assert remembers(signing, llm, MASTER, in_session(name, x_openwebui_user_jwt=token("bob"))) == []
    assert remembers(signing, llm, MASTER, in_session(name)) == []
    assert remembers(signing, llm, MASTER, in_session(name, x_openwebui_user_jwt=token())) == ["of ada"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda: token(seconds=-1), id="expired"),
        pytest.param(lambda: token(secret=SECRET[::-1]), id="another secret"),
        pytest.param(lambda: token(iss="somebody"), id="wrong issuer"),
        pytest.param(lambda: token(iss=None), id="no issuer"),
        pytest.param(lambda: token(exp=None), id="no expiry"),
        pytest.param(lambda: token(sub=""), id="nobody"),
        pytest.param(lambda: token(algorithm="none", secret=""), id="alg none"),
        pytest.param(lambda: token(algorithm="HS512", secret=SECRET * 2), id="another algorithm"),
        pytest.param(lambda: "not.a.token", id="not a token"),
    ],
)
def test_a_token_that_is_not_to_be_believed_is_401_and_no_agent_runs(
    signing: Proxy, llm: ScriptedLLM, forged: Any, stream: bool
) -> None:
    error = refusal(signing, MASTER, {"x-openwebui-user-jwt": forged()}, stream=stream)
    body = error_of(error)
    assert (error.status_code, body["type"]) == (401, "authentication_error")
    assert "X-OpenWebUI-User-Jwt" in body["message"]
    assert llm.requests() == []
    assert say(signing, MASTER) == "echo: hi"


def test_an_unsigned_person_is_refused_where_tokens_are_verified(signing: Proxy) -> None:
    for headers in ({"x-openwebui-user-id": "ada"}, {"x-openwebui-user-email": "ada@example.org"}):
        for more in ({}, {"x-openwebui-user-jwt": token()}):
            error = refusal(signing, MASTER, {**headers, **more})
            assert error.status_code == 401
            assert "not signed" in error_of(error)["message"]


# The start


def test_a_broken_file_stops_the_start_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(f"keys:\n- hash: {'a' * 64}\n  alias: ada\n  rpm: fast\n")
    for command in (("agentllm", "serve"), ("litellm",)):
        with (
            pytest.raises(RuntimeError, match=r"keys\.yaml, line 4: .*rpm"),
            Proxy(tmp_path / command[0], {"AGENTLLM_KEYS": str(path)}, command=command),
        ):
            pass


def test_a_configuration_without_litellm_s_checks_has_them_for_keys_all_the_same(
    running_llm: ScriptedLLM, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    provider = {"provider": "agno", "custom_handler": "agentllm.gateway.plugin.agno"}
    general = {"custom_auth": "agentllm.gateway.plugin.custom_auth"}
    config.write_text(
        json.dumps({"litellm_settings": {"custom_provider_map": [provider]}, "general_settings": general})
    )
    keys = Keys(tmp_path / "keys.yaml")
    key = keys.add("n", models=["agno/echo"])
    environment = {**llm_environment(running_llm), "AGENTLLM_KEYS": str(keys.file.path)}
    with Proxy(tmp_path, environment, config=config) as running:
        assert refusal(running, key, model="agno/routed").status_code == 403
        assert say(running, key) == "echo: hi"
        assert request(running, key, "POST", "/key/generate", {}).status_code == 403

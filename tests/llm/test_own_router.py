"""The models of the proxy's configuration where no proxy runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agno.models.message import Message

from agentllm.errors import ConfigurationError
from agentllm.llm import own_router as module
from agentllm.llm.own_router import own_router
from agentllm.llm.router import RouterModel
from agentllm.settings import load_settings
from tests.proxy import clean_environment
from tests.runtimes.agno.spoken import HOME
from tests.scripted_llm import Reply, ScriptedLLM

CONFIG = """
model_list:
  - model_name: house
    litellm_params: {model: openai/scripted, api_key: os.environ/HOUSE_KEY}
  - model_name: spare
    litellm_params: {model: openai/tokens-20, api_key: spare-key}
  - model_name: my-agent
    litellm_params: {model: agno/demo}
router_settings:
  num_retries: 0
  disable_cooldowns: true
litellm_settings:
  fallbacks: [{house: [spare]}]
  custom_provider_map:
    - {provider: agno, custom_handler: nowhere.at_all}
general_settings:
  custom_auth: nowhere.at_all
"""

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:Items? .* using the `ReadOnly` qualifier:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:Accessing the 'model_\w+' attribute on the instance:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, provider: ScriptedLLM, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a configuration, in a process without a proxy."""
    import litellm

    monkeypatch.delitem(sys.modules, "litellm.proxy.proxy_server", raising=False)
    monkeypatch.setenv("HOUSE_KEY", "house-key")
    monkeypatch.setattr(litellm, "cache", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "proxy_config.yaml").write_text(CONFIG)
    yield tmp_path
    module._router_of.cache_clear()


def ask(model: str, text: str = "hi") -> Any:
    """An answer, on the loop that keeps LiteLLM's connections."""
    asked = [Message(role="user", content=text)]
    return HOME.run(RouterModel(id=model).ainvoke(asked, Message(role="assistant")))


def test_a_model_of_the_configuration_is_asked_with_its_key(provider: ScriptedLLM) -> None:
    assert ask("house").content == "echo: hi"
    assert provider.requests()[-1].headers["authorization"] == "Bearer house-key"


def test_its_fallbacks_work(provider: ScriptedLLM) -> None:
    provider.script(Reply.failing(500), model="scripted")
    assert ask("house").content.startswith("w0 w1")


def test_a_model_that_is_not_in_it_is_asked_directly(provider: ScriptedLLM) -> None:
    ask("openai/scripted")
    assert provider.requests()[-1].headers["authorization"] == "Bearer an-openai-key"


def test_agents_are_no_models_of_it() -> None:
    router = own_router()
    assert router is not None
    assert router.get_model_names() == ["house", "spare"]


def test_its_cache_is_used(folder: Path, provider: ScriptedLLM) -> None:
    cached = "litellm_settings:\n  cache: true\n  cache_params: {type: local, ttl: 60}\n"
    (folder / "proxy_config.yaml").write_text(CONFIG.replace("litellm_settings:\n", cached))
    assert [ask("spare", "the same").content for _ in range(2)] == [ask("spare", "the same").content] * 2
    assert len(provider.requests()) == 1
    assert ask("spare", "the same").response_usage.cost == 0


def test_another_file_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "proxy_config.yaml").rename(folder / "other.yaml")
    assert own_router() is None
    monkeypatch.setenv("AGENTLLM_PROXY_CONFIG", str(folder / "other.yaml"))
    load_settings.cache_clear()
    assert own_router() is own_router() is not None


@pytest.mark.parametrize("content", ["model_list: [", "model_list: 7", "model_list: [{model_name: x}]"])
def test_a_file_that_is_wrong_is_named(folder: Path, content: str) -> None:
    (folder / "proxy_config.yaml").write_text(content)
    with pytest.raises(ConfigurationError, match=r"proxy_config\.yaml"):
        own_router()


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTLLM_PROXY_CONFIG", "/nowhere/proxy.yaml")
    load_settings.cache_clear()
    with pytest.raises(ConfigurationError, match="AGENTLLM_PROXY_CONFIG"):
        own_router()


@pytest.mark.integration
def test_an_agent_in_a_program_of_one_s_own_is_given_the_models_of_the_file(
    folder: Path, provider: ScriptedLLM
) -> None:
    (folder / "agents.yaml").write_text("agents:\n  one: {description: Asks house, model: house}\n")
    program = (
        "import litellm\n"
        "from agentllm.gateway.plugin import register\n"
        "register()\n"
        "answer = litellm.completion(model='agno/one', messages=[{'role': 'user', 'content': 'hi'}])\n"
        "message = answer.choices[0].message\n"
        "print(message.content, message.provider_specific_fields['agentllm_model'])\n"
    )
    given = clean_environment(HOUSE_KEY="house-key", OPENAI_BASE_URL=provider.openai_base)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=folder,
        env=given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "echo: hi openai/scripted\n", done.stderr

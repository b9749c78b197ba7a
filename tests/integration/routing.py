"""A proxy whose configuration has prices, fallbacks and the like, and what it counts for its keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import OpenAI

from tests.integration.conftest import llm_environment
from tests.proxy import Proxy
from tests.scripted_llm import ScriptedLLM, Usage

AGENTS = Path(__file__).parent / "router_agents"

USAGE = Usage(prompt=1_000, completion=100)
PRICED = 1_000 * 0.001 + 100 * 0.002
"""What a call of the model `priced` costs that uses so much, in US dollars."""

CONFIG = """
model_list:
  - model_name: priced
    litellm_params: &priced
      model: openai/gpt-priced
      input_cost_per_token: 0.001
      output_cost_per_token: 0.002
  - model_name: unpriced
    litellm_params: {model: openai/gpt-unpriced}
  - model_name: guarded
    litellm_params: {model: openai/gpt-guarded, input_cost_per_token: 0.1, output_cost_per_token: 0.1}
  - model_name: balanced
    litellm_params: {model: openai/gpt-balanced, api_key: key-one}
  - model_name: balanced
    litellm_params: {model: openai/gpt-balanced, api_key: key-two}
  - model_name: retried
    litellm_params: {model: openai/gpt-retried, num_retries: 2}
  - model_name: hasty
    litellm_params: {model: openai/gpt-hasty, timeout: 0.5, stream_timeout: 0.5}
  - model_name: limited
    litellm_params: {model: openai/gpt-limited, rpm: 1}
  - model_name: capped
    litellm_params:
      model: openai/gpt-capped
      input_cost_per_token: 0.001
      output_cost_per_token: 0.002
      max_budget: 0.5
      budget_duration: 1d
router_settings:
  num_retries: 0
  disable_cooldowns: true
  fallbacks: [{guarded: [priced]}]
  optional_pre_call_checks: [enforce_model_rate_limits]
litellm_settings:
  callbacks: [bills.logger]
  custom_provider_map:
    - {provider: agno, custom_handler: agentllm.gateway.plugin.agno}
general_settings:
  custom_auth: agentllm.gateway.plugin.custom_auth
  custom_auth_run_common_checks: true
"""

_LOGGER = """
import json, os
from litellm.integrations.custom_logger import CustomLogger

class Logger(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        told = kwargs["standard_logging_object"]
        bill = {"provider": kwargs["custom_llm_provider"], "model": kwargs["model"],
                "cost": kwargs.get("response_cost"), "key": told["metadata"]["user_api_key_hash"],
                "tokens": told["total_tokens"]}
        with open(os.environ["BILLS"], "a") as file:
            file.write(json.dumps(bill) + "\\n")

logger = Logger()
"""


@contextmanager
def routing_proxy(
    folder: Path, llm: ScriptedLLM, config: str = CONFIG, environment: Mapping[str, str] | None = None
) -> Iterator[Proxy]:
    """A proxy of `config` with the agents of `router_agents`, which writes what it counts into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(config)
    (folder / "bills.py").write_text(_LOGGER)
    given = {
        **llm_environment(llm),
        "AGENTLLM_AGENTS": str(AGENTS),
        "BILLS": str(folder / "bills"),
        **(environment or {}),
    }
    with Proxy(folder, given, config=folder / "config.yaml") as proxy:
        yield proxy


def bills(folder: Path) -> list[dict[str, Any]]:
    """What LiteLLM has counted so far, a call each."""
    path = folder / "bills"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True, slots=True)
class Told:
    """What a client is told of an answer."""

    text: str
    model: str | None
    cost: float | None
    tokens: int


def ask(client: OpenAI, agent: str, text: str = "hi", *, stream: bool = False, **more: Any) -> Told:
    """The answer of `agent` to one message."""
    body: Any = {"model": f"agno/{agent}", "messages": [{"role": "user", "content": text}], **more}
    if not stream:
        answer = client.chat.completions.create(**body)
        message = answer.choices[0].message
        assert answer.usage is not None
        return _told(message.content or "", message, answer.usage)
    text, model = "", None
    usage: Any = None
    for chunk in client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            model = _fields(choice.delta).get("agentllm_model", model)
    return Told(text, model, _cost(usage), usage.total_tokens)


def _told(text: str, message: Any, usage: Any) -> Told:
    return Told(text, _fields(message).get("agentllm_model"), _cost(usage), usage.total_tokens)


def _fields(message: Any) -> dict[str, Any]:
    return (message.model_extra or {}).get("provider_specific_fields") or {}


def _cost(usage: Any) -> float | None:
    cost: float | None = (usage.model_extra or {}).get("cost")
    return cost

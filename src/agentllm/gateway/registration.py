"""How LiteLLM learns of the agents: a deployment in its router for each, in every worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import litellm
from litellm.llms.custom_llm import CustomLLM
from litellm.router import Router
from litellm.types.router import Deployment, LiteLLM_Params, ModelInfo

from agentllm.catalog import Catalog
from agentllm.core import Agent
from agentllm.gateway.families import is_of_an_agent, provide
from agentllm.gateway.model_cards import model_info_of
from agentllm.gateway.parameters import ALLOWED

log = logging.getLogger("agentllm.gateway")

RECONCILE_SECONDS = 5.0
DEFAULTS: dict[str, Any] = {"num_retries": 0, "cooldown_time": 0, "allowed_openai_params": list(ALLOWED)}
_HIJACKED = ("replicate", "clarifai", "ft:gpt-3.5-turbo")


def why_not(name: str) -> str | None:
    """Why LiteLLM would not give a call of an agent of that name to us, None if it would.

    From the order of tests in `litellm.main.completion` (1.106): some built-in providers are
    chosen by words in the model's name before custom providers are looked at.
    """
    for word in _HIJACKED:
        if word in name:
            return f"LiteLLM sends every model with {word!r} in its name elsewhere; choose another name"
    for provider in ("replicate", "clarifai", "petals", "snowflake", "ovhcloud"):
        if name in getattr(litellm, f"{provider}_models", ()):
            return f"LiteLLM sends this name to {provider}; choose another name"
    return None


async def router_of_proxy() -> Router:
    """The router of the proxy that this process runs, as soon as it is there."""
    from litellm.proxy import proxy_server

    while (router := proxy_server.llm_router) is None:  # noqa: ASYNC110 - LiteLLM has no event for it
        await asyncio.sleep(0.001)
    return router


async def keep_registered(catalog: Catalog, handler: CustomLLM) -> None:
    """Register the agents in the proxy's router and `handler` for their families, and again whenever some are gone.

    A proxy with a database replaces its router's deployments by those of the database from
    time to time. Its configuration need name one family only, which is how it comes to us.
    """
    from litellm.proxy import proxy_server

    while True:
        router = await router_of_proxy()
        provide(handler)
        if register(router, catalog):
            # What LiteLLM itself does after it has added deployments: its health and info pages read this list.
            proxy_server.llm_model_list = router.get_model_list()
        await asyncio.sleep(RECONCILE_SECONDS)


def register(router: Router, catalog: Iterable[Agent]) -> bool:
    """Give `router` a deployment for each agent that has none, and keep it from running agents twice.

    Returns whether there were any.

    An explicit entry of the configuration wins; where it says nothing of retries, cooldown and
    allowed parameters, it gets ours: no retry, because agents act, no cooldown, because one caller's
    error must not lock an agent for the others, and the parameters that LiteLLM holds back otherwise.
    It shows the agent's card, as far as its own `model_info` leaves that open.
    """
    agents = {agent.model: agent for agent in catalog}
    for deployment in list(router.model_list):
        params = deployment["litellm_params"]
        if is_of_an_agent(params.get("model")):
            for name, value in DEFAULTS.items():
                if params.get(name) is None:
                    params[name] = value
            _show_card(deployment, agents)
    known = set(router.get_model_names())
    missing = [agent for name, agent in agents.items() if name not in known]
    for agent in missing:
        router.upsert_deployment(_deployment(agent))
        log.info("agent %s is served as model %s", agent.name, agent.model)
    return bool(missing)


def _show_card(deployment: Any, agents: Mapping[str, Agent]) -> None:
    agent = agents.get(deployment["litellm_params"]["model"])
    if agent is not None:
        info = deployment.setdefault("model_info", {})
        info.update(model_info_of(agent, info))


def is_served_here(router: Router | None, model: object) -> bool:
    """Whether requests for `model` come to us: a name `agno/…`, or a name that the configuration gives an agent."""
    if not isinstance(model, str):
        return False
    if is_of_an_agent(model):
        return True
    deployments = router.get_model_list(model_name=model) if router is not None else None
    return any(is_of_an_agent(deployment["litellm_params"]["model"]) for deployment in deployments or ())


def _deployment(agent: Agent) -> Deployment:
    return Deployment(
        model_name=agent.model,
        litellm_params=LiteLLM_Params(model=agent.model, **DEFAULTS),
        model_info=ModelInfo(id=f"agentllm-{agent.family}-{agent.name}", mode="chat", **model_info_of(agent, {})),
    )

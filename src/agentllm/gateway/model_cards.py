"""What the proxy's model lists show of an agent: a name, a description, tags, and what Open WebUI makes of a model.

Open WebUI takes `info.meta` of an entry of `/v1/models` over as it is (0.12.4), where its administrator
has not edited the model. LiteLLM has no way to add to its entries, so its own endpoint is asked, with
all that it checks and filters, and what it answers for our models is added to.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import HTTPException
from fastapi.routing import APIRoute
from litellm.proxy._types import ProxyException
from litellm.router import Router

from agentllm.core import Agent
from agentllm.gateway.families import is_of_an_agent

log = logging.getLogger("agentllm.gateway")

PATHS = ("/v1/models", "/models", "/v1/models/{model_id}", "/models/{model_id}")
FIELDS = ("name", "description", "tags", "info")
"""What is added to an entry of `/v1/models`, and is in `model_info` of `/v1/model/info`."""

ASKING = "user_input"
"""Open WebUI's name for its tool with which a model asks the person."""

BUILT_IN_TOOLS = (
    "time",
    ASKING,
    "knowledge",
    "chats",
    "memory",
    "notes",
    "skills",
    "tasks",
    "automations",
    "calendar",
    "channels",
    "web_search",
    "image_generation",
    "code_interpreter",
    "files",
    "subagents",
    "notifications",
)
"""Groups of tools that Open WebUI adds to the requests of its people, 25 kB of them."""

_WORDS_OF_TITLE = 4


def model_info_of(agent: Agent, given: Mapping[str, Any]) -> dict[str, Any]:
    """The card of `agent` as the fields of `FIELDS`, those aside that `given`, the model's own `model_info`, has."""
    description = given.get("description") or agent.description
    made = {
        "name": agent.card.title or agent.name,
        "description": description,
        "tags": [{"name": tag} for tag in agent.card.tags],
        "info": {"meta": _meta(agent, description)},
    }
    return {name: value for name, value in made.items() if given.get(name) is None}


def show_cards() -> None:
    """Have the proxy of this process show the cards, by routes before LiteLLM's own for the same paths."""
    from litellm.proxy import proxy_server

    of_litellm = [
        route
        for route in proxy_server.router.routes
        if isinstance(route, APIRoute) and route.path in PATHS and "GET" in (route.methods or ())
    ]
    if len(of_litellm) != len(PATHS):
        log.warning("LiteLLM has no endpoints %s as were expected, so some show no cards of agents", ", ".join(PATHS))
    proxy_server.app.router.routes[:0] = [_with_cards(route) for route in of_litellm]


def _with_cards(route: APIRoute) -> APIRoute:
    """`route` with cards in its answers, also for the names of agents, which have a slash that LiteLLM's path has not,
    and with errors in OpenAI's form; its own stands in the description of its API."""
    endpoint: Callable[..., Awaitable[object]] = route.endpoint

    @functools.wraps(endpoint)
    async def listed(**given: Any) -> object:
        try:
            return _shown(await endpoint(**given))
        except HTTPException as error:
            if error.status_code != 404:
                raise
            raise ProxyException(str(error.detail), "not_found_error", "model", 404) from None

    path = route.path.replace("{model_id}", "{model_id:path}")
    return APIRoute(
        path, listed, methods=["GET"], dependencies=route.dependencies, name=route.name, include_in_schema=False
    )


def _shown(answer: object) -> object:
    """`answer` in OpenAI's form with cards in it; one in another form as it is."""
    from litellm.proxy import proxy_server

    router = proxy_server.llm_router
    if router is None or not isinstance(answer, dict):
        return answer
    if answer.get("object") == "model":
        return _entry(router, answer)
    if answer.get("object") == "list":
        return {**answer, "data": [_entry(router, entry) for entry in answer["data"]]}
    return answer


def _entry(router: Router, entry: dict[str, Any]) -> dict[str, Any]:
    for deployment in router.get_model_list(model_name=entry["id"]) or ():
        if is_of_an_agent(deployment["litellm_params"]["model"]):
            info = deployment.get("model_info") or {}
            return {**entry, **{name: info[name] for name in FIELDS if info.get(name) is not None}}
    return entry


def _meta(agent: Agent, description: str) -> dict[str, Any]:
    meta = {
        "description": description,
        "suggestion_prompts": [_suggestion(prompt) for prompt in agent.card.prompts],
        "capabilities": {
            "vision": agent.card.takes_images,
            "file_upload": True,
            "file_context": True,
            "web_search": False,
            "image_generation": False,
            "code_interpreter": False,
            "citations": True,
            "usage": True,
            "status_updates": True,
            "memory": False,
            "terminal": False,
            "builtin_tools": True,
        },
    }
    if agent.runtime.takes_front_end_tools:
        return meta
    return {**meta, "builtinTools": {name: name == ASKING for name in BUILT_IN_TOOLS}}


def _suggestion(prompt: str) -> dict[str, Any]:
    """A prompt to begin with, under its first words and the rest of them."""
    words = prompt.split()
    first, rest = words[:_WORDS_OF_TITLE], words[_WORDS_OF_TITLE:]
    return {"title": [" ".join(first), " ".join(rest)], "content": prompt}

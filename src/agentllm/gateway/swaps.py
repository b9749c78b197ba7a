"""Models that people set for their conversations: what a request says of that, and which of them LiteLLM and the
operator allow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import litellm
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.router import Router

from agentllm.core import Change
from agentllm.errors import InvalidRequest, SwapRefused
from agentllm.gateway.families import is_of_an_agent
from agentllm.gateway.registration import is_served_here
from agentllm.hotswap.policy import matches, refused

FIELD = "agentllm"
"""In a request's `metadata`: an object with `model` and `prompt`, or the two in keys `agentllm.model` and so on."""

OFFLINE = "offline"
WAIT = 10.0
"""Seconds for which a thread waits until LiteLLM has looked up what a key may use."""

_WHATS = ("model", "prompt")
_CREDENTIALS = (
    "api_key",
    "azure_ad_token",
    "tenant_id",
    "litellm_credential_name",
    "vertex_credentials",
    "vertex_project",
    "aws_access_key_id",
    "aws_profile_name",
    "aws_role_name",
    "aws_web_identity_token",
    "mock_response",
)
"""Parameters of a deployment that spare its provider's variable."""

_NO_KEYS = ("_API_BASE", "_API_VERSION", "_BASE_URL")
"""How variables end that name a server, for which LiteLLM or the deployment may have another one."""


def changes_of(body_metadata: object) -> tuple[Change, ...]:
    """What a request's `metadata` sets; null, or an empty text, brings back that of the agent.

    Raises:
        InvalidRequest: it is none of the two forms.
    """
    if not isinstance(body_metadata, Mapping):
        return ()
    given = body_metadata.get(FIELD)
    if given is not None and not isinstance(given, Mapping):
        raise InvalidRequest(f"metadata.{FIELD} must be an object with 'model' and 'prompt'.", param="metadata")
    if unknown := sorted(set(given or {}) - set(_WHATS)):
        raise InvalidRequest(
            f"metadata.{FIELD} has {unknown[0]!r:.80}; it can have 'model' and 'prompt'.", param="metadata"
        )
    flat = {what: body_metadata[name] for what in _WHATS if (name := f"{FIELD}.{what}") in body_metadata}
    values = {**flat, **(given or {})}
    for what, value in values.items():
        if value is not None and not isinstance(value, str):
            raise InvalidRequest(f"metadata.{FIELD}.{what} must be a text or null.", param="metadata")
    return tuple(Change(what, values[what]) for what in ("model", "prompt") if what in values)


class CallersPolicy:
    """What one caller may set; implements `agentllm.hotswap.policy.Policy`.

    `patterns` are the operator's, None for the models of the proxy's own list. `key` is what the proxy authenticated,
    None where LiteLLM is used as a library: the operator's rule alone counts there. To be made on the loop that
    the proxy runs on.
    """

    def __init__(self, patterns: tuple[str, ...] | None, key: UserAPIKeyAuth | None) -> None:
        self._patterns = patterns
        # What a key's aliases lead to is not what a model call of an agent goes to.
        self._key = key and key.model_copy(update={"aliases": {}, "team_model_aliases": None})
        self._loop = asyncio.get_running_loop()

    async def allow(self, model: str) -> str:
        """See `agentllm.hotswap.policy.Policy.allow`."""
        router = _router()
        why = "it is none that may be used here"
        name = _one_name(model, router) if self._may_be_asked_for(model, router) else None
        if _is_agent(name or model, router):
            why = "agents answer no other agents' conversations"
        elif name and self._operator_allows(name, router) and await self._may_use(name, router):
            missing = _missing_keys(name, router)
            if not missing:
                return name
            why = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set"
        raise refused(model, why, await self._allowed(router))

    def allow_now(self, model: str) -> str:
        """See `agentllm.hotswap.policy.Policy.allow_now`."""
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if not is_here:
            return asyncio.run_coroutine_threadsafe(self.allow(model), self._loop).result(WAIT)
        return _at_once(self.allow(model), model)

    def _may_be_asked_for(self, model: str, router: Router | None) -> bool:
        """Whether LiteLLM may be asked about `model`: it signs in to some providers to say anything of their models."""
        return "/" not in model or self._operator_allows(model, router)

    def _operator_allows(self, name: str, router: Router | None) -> bool:
        return matches(name, _own_list(router) if self._patterns is None else self._patterns)

    async def _may_use(self, name: str, router: Router | None) -> bool:
        """Whether the key may, as LiteLLM's proxy would check it of a request."""
        from litellm.proxy.auth.auth_checks import can_key_call_resolved_model

        if self._key is None:
            return True
        try:
            await can_key_call_resolved_model(name, None, self._key, router)
        except ProxyException:
            return False
        return True

    async def _allowed(self, router: Router | None) -> Sequence[str]:
        """The models, and the operator's patterns, that the caller may set."""
        own = _own_list(router)
        patterns = own if self._patterns is None else self._patterns
        names = [name for name in own if matches(name, patterns)]
        names += [pattern for pattern in patterns if not any(matches(name, [pattern]) for name in own)]
        return [name for name in names if await self._may_use(name, router) and not _is_agent(name, router)]


def _at_once(work: Any, model: str) -> str:
    """What the coroutine `work` returns without waiting, which it does where LiteLLM knows the key already."""
    try:
        work.send(None)
    except StopIteration as end:
        return str(end.value)
    work.close()
    raise SwapRefused(
        f"Whether the model {model[:80]!r} may be used cannot be looked up while the agent runs. Nothing was changed. "
        "Set it with a message or with the request's metadata."
    )


def _router() -> Router | None:
    from litellm.proxy import proxy_server

    return proxy_server.llm_router


def _is_agent(name: str, router: Router | None) -> bool:
    return is_of_an_agent(name) or is_served_here(router, name)


def _own_list(router: Router | None) -> list[str]:
    """The names of the proxy's models, those with a `*` too, without agents."""
    if router is None:
        return []
    names = dict.fromkeys([*router.get_model_names(), *(router.model_group_alias or ())])
    return [name for name in names if name and not _is_agent(name, router)]


def _deployments(name: str, router: Router | None) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Any] = (router.get_model_list(model_name=name) if router is not None else None) or ()
    return found


def _one_name(model: str, router: Router | None) -> str | None:
    """The name that stands for `model` everywhere: a `model_name` of the proxy, else provider/model; None where
    LiteLLM knows none, or `model` is a pattern or a provider alone."""
    if "*" in model or not model.rpartition("/")[2].strip():
        return None
    if model == OFFLINE or _deployments(model, router):
        return model
    provider, slash, _ = model.partition("/")
    if slash:
        return model if provider in litellm.provider_list else None
    if model not in litellm.model_cost:
        return None
    name, provider, *_ = litellm.get_llm_provider(model)
    return f"{provider}/{name}"


def _missing_keys(name: str, router: Router | None) -> Sequence[str]:
    """The variables in which the provider's key is missing; none where there is one, or nothing is known of it."""
    if name == OFFLINE:
        return ()
    behind = [deployment["litellm_params"] for deployment in _deployments(name, router)] or [{"model": name}]
    return min((_missing_of(params, name) for params in behind), key=len)


def _missing_of(params: Mapping[str, Any], name: str) -> Sequence[str]:
    if any(params.get(credential) for credential in _CREDENTIALS):
        return ()
    found = litellm.validate_environment(name if "*" in params["model"] else params["model"])
    missing = [] if found["keys_in_environment"] else found["missing_keys"]
    return [variable for variable in missing if not variable.endswith(_NO_KEYS)]

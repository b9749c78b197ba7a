"""Keys of a proxy without a database: the master key, those of the file of keys, and 401 for every other."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from functools import cache

import litellm
from fastapi import Request
from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth
from litellm.proxy.auth.auth_utils import get_request_route

from agentllm.errors import AuthenticationFailed
from agentllm.gateway.callers import MASTER_KEY
from agentllm.keys import MASTER_USER, Key, KeyRing
from agentllm.settings import load_settings

_ENDPOINTS = (
    "/chat/completions",
    "/completions",
    "/responses",
    "/messages",
    "/embeddings",
    "/models",
    "/audio/speech",
    "/audio/transcriptions",
    "/images/generations",
    "/images/edits",
    "/moderations",
    "/rerank",
)
ROUTES = (*_ENDPOINTS, *(f"/v1{endpoint}" for endpoint in _ENDPOINTS))
"""What a key of the file may call. LiteLLM's own list of model routes also leads to the providers' own
interfaces and to stored files, which are shared by all and pass the models by that a key is for."""

LONGEST_KEY = 4_096


def key_ring() -> KeyRing | None:
    """The keys of `AGENTLLM_KEYS`, None where it is not set; one for each file and process.

    Raises:
        ConfigurationError: the file is wrong.
    """
    path = load_settings().keys
    return None if path is None else _ring_of(path)


_ring_of = cache(KeyRing)


async def custom_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    """LiteLLM's `custom_auth` for a proxy that has no database of keys.

    A key of the file is no administrator's: it may call the routes of `ROUTES`, with its models and
    as often as its rate allows, which LiteLLM checks after this.

    Raises:
        ProxyException: in OpenAI's form; 401 if the key is missing, unknown, revoked or expired, 403 if
            it may not call the route.
    """
    given = (api_key or "").removeprefix("Bearer ")
    if _is_master_key(given):
        return UserAPIKeyAuth(api_key=MASTER_KEY, user_role=LitellmUserRoles.PROXY_ADMIN, user_id=MASTER_USER)
    key = await _key_of(given)
    if key is None:
        raise _refused(
            "The API key is not valid here. Send `Authorization: Bearer <key>` with a key of this proxy."
            if given
            else "No API key was sent. Send `Authorization: Bearer <key>` with a key of this proxy."
        )
    if key.expires is not None and key.has_expired(datetime.now(UTC)):
        raise _refused(f"The API key expired at {key.expires.isoformat()}. Ask who runs this proxy for another one.")
    _check_route(get_request_route(request))
    _have_limits_checked()
    return _known(key)


def _is_master_key(given: str) -> bool:
    from litellm.proxy import proxy_server

    return bool(given) and secrets.compare_digest(given.encode(), (proxy_server.master_key or "").encode())


async def _key_of(given: str) -> Key | None:
    ring = key_ring()
    if ring is None or not given or len(given) > LONGEST_KEY:
        return None
    return ring.find(given) if ring.is_current() else await asyncio.to_thread(ring.find, given)


def _check_route(route: str) -> None:
    """Refuse in OpenAI's form what LiteLLM would refuse, by `allowed_routes`, in one of its own."""
    if not any(route == allowed or route.startswith(f"{allowed}/") for allowed in ROUTES):
        message = f"This API key is for models only; {route[:200]!r} needs the proxy's master key."
        raise ProxyException(message=message, type="permission_error", param=None, code=403)


def _known(key: Key) -> UserAPIKeyAuth:
    return UserAPIKeyAuth(
        api_key=key.hash,
        key_alias=key.alias,
        user_id=key.user,
        team_id=key.team,
        user_role=LitellmUserRoles.INTERNAL_USER,
        models=_models(key),
        rpm_limit=key.rpm,
        expires=key.expires,
        allowed_routes=list(ROUTES),
    )


def _models(key: Key) -> list[str]:
    """What LiteLLM is to take for the key's models, [] for all.

    It allows what a pattern matches, but lists only models that are named.
    """
    from litellm.proxy import proxy_server

    if key.models is None:
        return []
    router = proxy_server.llm_router
    names = sorted({*router.model_names, *(router.model_group_alias or ())}) if router else []
    return [*key.models, *(name for name in key.models_among(names) if name not in key.models)]


def _have_limits_checked() -> None:
    """Switch on LiteLLM's check of what `custom_auth` says of a key, which its default configuration leaves out."""
    from litellm.proxy import proxy_server

    litellm.enable_post_custom_auth_checks = True
    proxy_server.general_settings["custom_auth_run_common_checks"] = True


def _refused(message: str) -> ProxyException:
    error = AuthenticationFailed(message)
    return ProxyException(message=error.message, type=error.type, param=None, code=error.status)

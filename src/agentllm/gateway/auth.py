"""Keys of a proxy without a database: the master key, and 401 for every other."""

from __future__ import annotations

import logging
import secrets

from fastapi import Request
from litellm.proxy._types import LitellmUserRoles, ProxyException, UserAPIKeyAuth

from agentllm.errors import AuthenticationFailed
from agentllm.gateway.request import MASTER_KEY

log = logging.getLogger("agentllm.gateway")


async def custom_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    """LiteLLM's `custom_auth` for a proxy that has no database of keys.

    Raises:
        ProxyException: 401 in OpenAI's form, if the key is missing or not the master key.
    """
    from litellm.proxy import proxy_server

    given = (api_key or "").removeprefix("Bearer ")
    if not secrets.compare_digest(given.encode(), (proxy_server.master_key or "").encode()) or not given:
        failed = AuthenticationFailed(
            "The API key is not valid here. Send `Authorization: Bearer <key>` with a key of this proxy."
            if given
            else "No API key was sent. Send `Authorization: Bearer <key>` with a key of this proxy."
        )
        raise ProxyException(message=failed.message, type=failed.type, param=None, code=failed.status)
    return UserAPIKeyAuth(api_key=MASTER_KEY, user_role=LitellmUserRoles.PROXY_ADMIN, user_id="default_user_id")

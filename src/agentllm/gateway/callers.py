"""Who a caller is: whom the proxy authenticated, and for trusted front ends the person that they forward."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jwt

from agentllm.core import Caller
from agentllm.errors import AuthenticationFailed, InvalidRequest
from agentllm.settings import MASTER, Settings, load_settings

MASTER_KEY = "litellm_proxy_master_key"
"""What LiteLLM gives for the hash of the master key."""

USER_HEADERS = "x-openwebui-user-"
USER_ID_HEADER = f"{USER_HEADERS}id"
USER_EMAIL_HEADER = f"{USER_HEADERS}email"
USER_JWT_HEADER = f"{USER_HEADERS}jwt"
JWT_ISSUER = "open-webui"

LONGEST_END_USER = 256
LONGEST_JWT = 8_192

_HASH = re.compile(r"[0-9a-f]{64}")


def caller_of(metadata: Mapping[str, Any], headers: Mapping[str, str]) -> Caller:
    """The caller of a request, from what the proxy knows of it and the client's headers, names in lower case.

    Key, user and team are those that the proxy authenticated. An end user counts only from a key
    that `AGENTLLM_TRUSTED_FRONTENDS` names; from any other one the headers mean nothing.

    Raises:
        AuthenticationFailed: a trusted front end forwards a person in a way that is not to be believed.
        InvalidRequest: the person's id has more than 256 characters.
    """
    key = str(metadata.get("user_api_key_hash") or "")
    settings = load_settings()
    front_end = _front_end(key, metadata.get("user_api_key_alias"), settings.trusted_frontends)
    end_user = _end_user(headers, settings) if front_end else None
    return Caller(
        key=key,
        user=metadata.get("user_api_key_user_id"),
        team=metadata.get("user_api_key_team_id"),
        end_user=end_user,
        front_end=front_end if end_user else None,
    )


def signed_end_user(token: str, secret: str) -> str:
    """The `sub` of a token of `X-OpenWebUI-User-Jwt`, which is the person's id.

    It must be signed with HS256 and `secret`, come from the issuer `open-webui` and not have
    expired; at most 8,192 characters.

    Raises:
        ValueError: it is not that; the message says what is wrong with it.
    """
    if len(token) > LONGEST_JWT:
        raise ValueError(f"it has more than {LONGEST_JWT} characters")
    options: Any = {"require": ["exp", "iss", "sub"], "verify_iat": False}
    try:
        claims = jwt.decode(token, secret, algorithms=["HS256"], issuer=JWT_ISSUER, options=options)
    except jwt.ExpiredSignatureError:
        raise ValueError("it has expired; compare the clocks of the two machines") from None
    except jwt.InvalidIssuerError:
        raise ValueError(f"its issuer is not {JWT_ISSUER!r}") from None
    except jwt.MissingRequiredClaimError as error:
        raise ValueError(f"it has no {error.claim!r}") from None
    except jwt.InvalidTokenError:
        raise ValueError("it is not signed with HS256 and the secret that is set here") from None
    if not (user := str(claims["sub"]).strip()):
        raise ValueError("its 'sub' is empty")
    return user


def _front_end(key: str, alias: str | None, trusted: tuple[str, ...]) -> str | None:
    """What `trusted` calls the key. A hash in it is never an alias, which people may choose for keys of theirs."""
    if key == MASTER_KEY:
        return MASTER if {MASTER, MASTER_KEY}.intersection(trusted) else None
    names = (name for name in trusted if name not in (MASTER, MASTER_KEY))
    return next((name for name in names if name == (key if _HASH.fullmatch(name) else alias)), None)


def _end_user(headers: Mapping[str, str], settings: Settings) -> str | None:
    token = headers.get(USER_JWT_HEADER)
    secret = settings.openwebui_jwt_secret
    if secret is not None:
        user = _verified(token, headers, secret.get_secret_value())
    elif token:
        raise AuthenticationFailed(
            "X-OpenWebUI-User-Jwt cannot be verified here. Set AGENTLLM_OPENWEBUI_JWT_SECRET to the front end's "
            "FORWARD_USER_INFO_HEADER_JWT_SECRET, or have the front end send no token."
        )
    else:
        user = headers.get(USER_ID_HEADER, "").strip() or headers.get(USER_EMAIL_HEADER, "").strip()
    if user and len(user) > LONGEST_END_USER:
        raise InvalidRequest(
            f"The id of the forwarded user has {len(user)} characters; {LONGEST_END_USER} are the limit.",
            param=USER_ID_HEADER,
        )
    return user or None


def _verified(token: str | None, headers: Mapping[str, str], secret: str) -> str | None:
    if unsigned := sorted(name for name in headers if name.startswith(USER_HEADERS) and name != USER_JWT_HEADER):
        raise AuthenticationFailed(
            f"The header {unsigned[0]!r} is not signed, and with AGENTLLM_OPENWEBUI_JWT_SECRET set only "
            "X-OpenWebUI-User-Jwt counts. Set the front end's FORWARD_USER_INFO_HEADER_JWT_SECRET to the same secret."
        )
    if token is None:
        return None
    try:
        return signed_end_user(token, secret)
    except ValueError as error:
        raise AuthenticationFailed(f"X-OpenWebUI-User-Jwt is not valid: {error}.") from None

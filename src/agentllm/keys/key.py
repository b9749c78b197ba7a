"""One key: what the file keeps of it."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from agentllm.errors import ConfigurationError
from agentllm.settings import MASTER

HASH = re.compile(r"[0-9a-f]{64}")
MASTER_USER = "default_user_id"
"""Whom LiteLLM takes the user of the master key for."""

_DASHBOARD_TEAM = "litellm-dashboard"
_SPANS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def hash_of(secret: str) -> str:
    """What is kept of an API key, and what LiteLLM's logs and metadata call it: SHA-256, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def expiry(text: str, now: datetime) -> datetime:
    """The moment that `text` names: hours, days or weeks from `now` (`12h`, `30d`, `4w`) or an ISO date or time in UTC.

    Raises:
        ValueError: it is neither, or not after `now`.
    """
    span = re.fullmatch(r"(\d{1,5})([hdw])", text)
    if span:
        moment = now + int(span[1]) * _SPANS[span[2]]
    else:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= now:
        raise ValueError(f"{text!r} is not in the future")
    return moment.astimezone(UTC).replace(microsecond=0)


def _span(text: str) -> timedelta:
    return int(text[:-1]) * _SPANS[text[-1]]


def _is_span(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,3}[hdw]", text):
        raise ValueError("it must be hours, days or weeks, as 12h, 30d or 4w")
    return text


def _not_reserved(name: str) -> str:
    if name in (MASTER, MASTER_USER, _DASHBOARD_TEAM) or HASH.fullmatch(name):
        raise ValueError("it has a meaning of its own; choose another name")
    return name


def _at_midnight(value: object) -> object:
    """A date is its beginning, and a time without a zone is meant in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else value


def _is_alias(name: str) -> str:
    if not re.fullmatch(r"[\w.@+-]{1,128}", name):
        raise ValueError("an alias has 1 to 128 letters, digits and _.@+-; give another one")
    return name


Alias = Annotated[str, AfterValidator(_is_alias), AfterValidator(_not_reserved)]
Name = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]{0,254}[^\s\x00-\x1f\x7f])?$")]
OwnName = Annotated[Name, AfterValidator(_not_reserved)]


class Key(BaseModel):
    """One API key.

    `alias` (1 to 128 letters, digits and `_.@+-`) and `hash` are unique in a file. `models` are
    names as in `/v1/models`, `*` in them stands for anything, and None is all. `rpm` is requests a
    minute, counted in each worker of the proxy; `expires` is the first moment at which the key is
    no longer good. `budget` is US dollars for the models that are called with the key, within the
    last `budget_duration` (`12h`, `30d`, `4w`) at any time, or for ever where there is none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hash: Annotated[str, Field(pattern=rf"^{HASH.pattern}$")]
    alias: Alias
    user: OwnName | None = None
    team: OwnName | None = None
    models: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1_000)] | None = None
    rpm: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    expires: Annotated[AwareDatetime, BeforeValidator(_at_midnight)] | None = None
    budget: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] | None = None
    budget_duration: Annotated[str, AfterValidator(_is_span)] | None = None

    @field_validator("budget_duration")
    @classmethod
    def _needs_budget(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("budget") is None:
            raise ValueError("it is the time of a budget, and there is none")
        return value

    def budget_began(self, now: datetime) -> datetime | None:
        """From when on what is spent counts for the budget; None is for ever."""
        return None if self.budget_duration is None else now - _span(self.budget_duration)

    def has_expired(self, now: datetime) -> bool:
        """Whether the key is no longer good at `now`, which has a time zone."""
        return self.expires is not None and self.expires <= now

    def models_among(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that the key may use, in their order."""
        if self.models is None:
            return list(names)
        pattern = re.compile("|".join(map(_as_regex, self.models)))
        return [name for name in names if pattern.fullmatch(name)]


def make_key(
    alias: str,
    *,
    user: str,
    team: str | None = None,
    models: Sequence[str] | None = None,
    rpm: int | None = None,
    expires: str | None = None,
    budget: float | None = None,
    budget_duration: str | None = None,
) -> tuple[str, Key]:
    """A new API key, `sk-` and 32 random bytes in base64, and what is kept of it.

    `expires` as in `expiry`, `budget` and `budget_duration` as in `Key`.

    Raises:
        ConfigurationError: a value cannot be had; the message names it.
    """
    secret = f"sk-{secrets.token_urlsafe(32)}"
    try:
        moment = None if expires is None else expiry(expires, datetime.now(UTC))
        allowed = tuple(models) if models else None
        key = Key(
            hash=hash_of(secret),
            alias=alias,
            user=user,
            team=team,
            models=allowed,
            rpm=rpm,
            expires=moment,
            budget=budget,
            budget_duration=budget_duration,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigurationError(f"{first['loc'][0]} {first['input']!r} cannot be: {first['msg']}.") from None
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"expires {expires!r} cannot be: {error}. Give 12h, 30d, 4w or an ISO date.") from None
    return secret, key


def table(keys: Iterable[Key], now: datetime) -> str:
    """The keys as lines of columns, below a line of their names."""
    rows = [("ALIAS", "HASH", "USER", "TEAM", "MODELS", "RPM", "BUDGET", "EXPIRES"), *(_row(key, now) for key in keys)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(key: Key, now: datetime) -> tuple[str, ...]:
    expires = key.expires.isoformat() if key.expires else "-"
    return (
        key.alias,
        key.hash[:12],
        key.user or "-",
        key.team or "-",
        ",".join(key.models) if key.models else "all",
        str(key.rpm or "-"),
        _budget(key),
        f"{expires} (expired)" if key.has_expired(now) else expires,
    )


def _budget(key: Key) -> str:
    if key.budget is None:
        return "-"
    return f"${key.budget:g}/{key.budget_duration}" if key.budget_duration else f"${key.budget:g}"


def _as_regex(pattern: str) -> str:
    return ".*".join(re.escape(part) for part in pattern.split("*"))

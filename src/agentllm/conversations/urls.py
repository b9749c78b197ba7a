"""Which database the settings name."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from agentllm.conversations.locks import AdvisoryLocks, FileLocks, ProcessLocks
from agentllm.conversations.store import FILE
from agentllm.errors import ConfigurationError
from agentllm.settings import Settings


def store_url(settings: Settings) -> sa.URL:
    """The database of `AGENTLLM_DB_URL`, else a SQLite file in the data directory.

    Raises:
        ConfigurationError: the address cannot be read, is of another kind of database, or needs an extra.
    """
    if settings.db_url is None:
        return sa.URL.create("sqlite", database=str(settings.data_dir / FILE))
    try:
        url = sa.make_url(settings.db_url.get_secret_value())
    except ArgumentError:
        raise ConfigurationError(f"AGENTLLM_DB_URL cannot be read. {_FORMS}") from None
    kind = url.get_backend_name()
    if kind == "sqlite" and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite")
    if kind == "postgresql":
        _need_psycopg()
        return url.set(drivername="postgresql+psycopg")
    raise ConfigurationError(f"AGENTLLM_DB_URL names {url.drivername!r}. {_FORMS}")


def process_locks(url: sa.URL) -> ProcessLocks:
    """The locks that the processes of one store share."""
    if url.get_backend_name() == "postgresql":
        return AdvisoryLocks(url)
    return FileLocks(Path(f"{url.database}.lock"))


def _need_psycopg() -> None:
    try:
        import psycopg  # noqa: F401 - to see whether it is there
    except ImportError:
        raise ConfigurationError(
            "AGENTLLM_DB_URL names a PostgreSQL server, which needs the extra: `pip install 'agentllm[postgres]'`."
        ) from None


_FORMS = "Give postgresql://user:password@host:5432/database, or sqlite:///folder/file.sqlite3, or leave it unset."

"""The tables of conversations, which version of them a database has, and how it gets this one.

`migrations/` holds a step for each version, in Alembic's form.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from agentllm.errors import ConfigurationError

VERSION = "0006"
"""The version of the tables below: the newest step in `migrations/versions`."""

_MIGRATIONS = Path(__file__).with_name("migrations")
_UPGRADE_LOCK = 0x61676E746C6C6D

metadata = sa.MetaData()

RUNNING = sa.text("status = 'running'")
"""The condition of the index of running turns; SQLite uses that only where it is written the same."""


class _Text(sa.types.TypeDecorator[str]):
    """Text in which a replacement stands for NUL, which PostgreSQL cannot store."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value and value.replace("\0", "\N{REPLACEMENT CHARACTER}")


conversations = sa.Table(
    "conversations",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("session", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("conversation", sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    sa.Column("parent", sa.ForeignKey("turns.id", ondelete="CASCADE")),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("message_id", sa.Text),
    sa.Column("asked", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64)),
    sa.Column("input", sa.JSON, nullable=False),
    sa.Column("output", sa.JSON, nullable=False),
    sa.Column("answer", _Text, nullable=False),
    sa.Column("state", sa.JSON(none_as_null=True)),
    sa.Column("answer_id", sa.String(64)),
    sa.Column("calls", sa.JSON(none_as_null=True)),
    sa.Column("pending", sa.JSON(none_as_null=True)),
    sa.Column("swap", sa.JSON(none_as_null=True)),
    sa.Index("turns_by_conversation", "conversation", "id"),
    sa.Index("turns_by_message", "conversation", "message_id"),
    sa.Index("turns_by_digest", "digest", "conversation"),
    sa.Index("turns_by_parent", "parent"),
    sa.Index("turns_by_answer", "answer_id"),
    sa.Index("turns_running", "conversation", sqlite_where=RUNNING, postgresql_where=RUNNING),
    sqlite_autoincrement=True,  # else the id of a deleted turn would be given again, and its late end written there
)

spend = sa.Table(
    "spend",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("agent", sa.Text),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
    sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    sa.Column("cost", sa.Double),
    sa.Index("spend_by_key", "key", "at"),
    sa.Index("spend_by_time", "at"),
)
"""What `agentllm.conversations.spend` notes of each call of a model; costs are in US dollars, times in UTC."""

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("asked", sa.String(64), nullable=False),
    sa.Column("answer_id", sa.String(64), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("conversation", sa.ForeignKey("conversations.id", ondelete="CASCADE")),
    sa.Column("events", sa.Text),
    sa.Column("error", sa.Text),
    sa.Index("answers_by_conversation", "conversation"),
    sa.Index("answers_by_time", "created"),
)
"""What `agentllm.idempotency` keeps of each key: digests, and the answer once it is whole."""

KEPT_SECONDS = 24 * 3_600
"""For which it is kept, from `created`, which is in seconds since 1970."""


def upgrade(engine: sa.Engine) -> None:
    """Give the database the tables of this version; of several processes one does it, and the others wait.

    Raises:
        ConfigurationError: the database is of a newer AgentLLM.
        SQLAlchemyError: it cannot be read or written.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
        version = _version(connection)
        if version != VERSION:
            _migrate(connection, version)


def check(engine: sa.Engine) -> None:
    """See that the database has the tables of this version, and leave it as it is.

    Raises:
        ConfigurationError: it has none, or those of another version.
        SQLAlchemyError: it cannot be read.
    """
    with engine.connect().execution_options(only_reads=True) as connection:
        version = _version(connection)
    if version is None:
        raise ConfigurationError("No conversations are stored there yet. Start the proxy with the same settings first.")
    if version != VERSION:
        raise ConfigurationError(
            f"The conversations are stored in the version {version!r} of their tables; this AgentLLM reads "
            f"{VERSION!r}. Start the proxy of this version once, which brings older ones up to date, or install "
            "the newer AgentLLM."
        )


def _version(connection: sa.Connection) -> str | None:
    """The version of the database; None where it is empty. The first form had no version table."""
    inspector = sa.inspect(connection)
    if inspector.has_table("alembic_version"):
        found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return found
    return "0001" if inspector.has_table("turns") else None


def _migrate(connection: sa.Connection, version: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise ConfigurationError(
            f"The conversations were stored by a newer AgentLLM, in the version {version!r} of its tables; this one "
            f"knows up to {VERSION}. Install the newer AgentLLM, or name another database "
            "with AGENTLLM_DB_URL or AGENTLLM_DATA_DIR."
        )
    if version is not None:
        command.stamp(config, version)
    command.upgrade(config, "head")

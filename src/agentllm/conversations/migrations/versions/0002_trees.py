"""Conversations with their owners; turns with a status, the front end's id of their message, and digests.

Of a conversation of the first form only the id is known. Its turns are found by their place, not by their transcript.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    conversations = op.create_table(
        "conversations",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("session", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.drop_index("turns_by_conversation", "turns")
    op.rename_table("turns", "turns_0001")
    turns = op.create_table(
        "turns",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("conversation", sa.String(64), sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("parent", sa.Integer, sa.ForeignKey("turns.id", ondelete="CASCADE")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("message_id", sa.Text),
        sa.Column("asked", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("input", sa.JSON, nullable=False),
        sa.Column("output", sa.JSON, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("state", sa.JSON(none_as_null=True)),
        sqlite_autoincrement=True,
    )
    old = sa.table("turns_0001", *(sa.column(name) for name in _KEPT))
    op.execute(
        conversations.insert().from_select(
            ["id", "caller", "agent", "created_at"],
            sa.select(old.c.conversation, sa.literal(""), sa.literal(""), sa.func.min(old.c.created_at)).group_by(
                old.c.conversation
            ),
        )
    )
    op.execute(
        turns.insert().from_select(
            [*_KEPT, "status", "asked"],
            sa.select(*(old.c[name] for name in _KEPT), sa.literal("complete"), sa.literal("")).order_by(old.c.id),
        )
    )
    # SQLite looks for the children of each row of a table that it drops.
    op.create_index("turns_0001_by_parent", "turns_0001", ["parent"])
    op.drop_table("turns_0001")
    op.create_index("turns_by_conversation", "turns", ["conversation", "id"])
    op.create_index("turns_by_message", "turns", ["conversation", "message_id"])
    op.create_index("turns_by_digest", "turns", ["digest", "conversation"])
    op.create_index("turns_by_parent", "turns", ["parent"])
    running = sa.text("status = 'running'")
    op.create_index("turns_running", "turns", ["conversation"], sqlite_where=running, postgresql_where=running)


_KEPT = ("id", "conversation", "parent", "created_at", "input", "output", "answer", "state")

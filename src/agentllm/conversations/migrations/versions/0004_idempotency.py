"""Answers that are kept for a while, to be given again to a request that is repeated under its key."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "answers",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("asked", sa.String(64), nullable=False),
        sa.Column("answer_id", sa.String(64), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("conversation", sa.String(64), sa.ForeignKey("conversations.id", ondelete="CASCADE")),
        sa.Column("events", sa.Text),
        sa.Column("error", sa.Text),
    )
    op.create_index("answers_by_conversation", "answers", ["conversation"])
    op.create_index("answers_by_time", "answers", ["created"])

"""Turns with the id of their answer, the client's calls in it, and what is pending until its questions are decided."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("turns", sa.Column("answer_id", sa.String(64)))
    op.add_column("turns", sa.Column("calls", sa.JSON(none_as_null=True)))
    op.add_column("turns", sa.Column("pending", sa.JSON(none_as_null=True)))
    op.create_index("turns_by_answer", "turns", ["answer_id"])

"""What is in force after a turn: the model and the prompt that a person set for the conversation."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("turns", sa.Column("swap", sa.JSON(none_as_null=True)))

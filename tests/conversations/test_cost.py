"""What a turn costs does not depend on how many came before it: counted in statements, rows and bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa

from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.store import Store
from agentllm.core import Caller, Message, Place, Turn
from tests.conversations.conftest import SECRET
from tests.conversations.disk import rows
from tests.conversations.speaking import Speaking, work
from tests.conversations.talk import assistant, user

FEW, MANY = 25, 1_000


@dataclass
class Cost:
    """Statements that the store executed, and rows that it was given."""

    statements: list[str] = field(default_factory=list)
    rows: int = 0


@contextmanager
def counted() -> Iterator[Cost]:
    cost = Cost()

    def executed(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        cost.statements.append(statement)

    def fetched(result: Sequence[Any]) -> Sequence[Any]:
        cost.rows += len(result)
        return result

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fetchall", "fetchone"):
            original = getattr(sa.CursorResult, name)
            assert callable(original)
        patch.setattr(sa.engine.cursor.CursorFetchStrategy, "fetchall", _counting("fetchall", cost))
        patch.setattr(sa.engine.cursor.CursorFetchStrategy, "fetchone", _counting("fetchone", cost))
        sa.event.listen(sa.Engine, "before_cursor_execute", executed)
        try:
            yield cost
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", executed)

"""The statements by which turns are read and written."""

from __future__ import annotations

import sqlalchemy as sa

from agentllm.conversations.schema import RUNNING as IS_RUNNING
from agentllm.conversations.schema import conversations, turns

_COLUMNS = [column for column in turns.c if column.name not in ("conversation", "created_at")]
_HERE = turns.c.conversation == sa.bindparam("conversation")
LAST = sa.select(*_COLUMNS).where(_HERE).order_by(turns.c.id.desc()).limit(1)
NEWEST = sa.select(*_COLUMNS).where(_HERE, turns.c.status != "failed").order_by(turns.c.id.desc()).limit(1)
RUNNING = sa.select(*_COLUMNS).where(_HERE, IS_RUNNING)
_OF_MESSAGE = (
    sa.select(*_COLUMNS).where(_HERE, turns.c.message_id == sa.bindparam("message_id")).order_by(turns.c.id.desc())
)
BY_MESSAGE = _OF_MESSAGE.limit(1)
VERSIONS = _OF_MESSAGE.limit(sa.bindparam("versions"))
BY_ANSWER = sa.select(*_COLUMNS).where(_HERE, turns.c.answer_id == sa.bindparam("answer_id")).limit(1)
CONVERSATION_OF = (
    sa.select(turns.c.conversation)
    .join(conversations, conversations.c.id == turns.c.conversation)
    .where(
        turns.c.answer_id == sa.bindparam("answer_id"),
        conversations.c.caller == sa.bindparam("caller"),
        conversations.c.agent == sa.bindparam("agent"),
    )
)
A_CHILD = sa.select(turns.c.id).where(turns.c.parent == sa.bindparam("turn")).limit(1)
_DIGESTS = turns.c.digest.in_(sa.bindparam("digests", expanding=True))
_NEWEST_OF_EACH = sa.select(sa.func.max(turns.c.id)).where(_DIGESTS).group_by(turns.c.digest)
BY_DIGEST = sa.select(turns.c.digest, turns.c.conversation).where(turns.c.id.in_(_NEWEST_OF_EACH))
BY_DIGEST_HERE = sa.select(*_COLUMNS).where(turns.c.id.in_(_NEWEST_OF_EACH.where(_HERE)))
INSERT = turns.insert().returning(turns.c.id)
_THIS = turns.c.id == sa.bindparam("turn")
_WRITTEN_AT_END = ("output", "state", "calls", "pending", "swap", "status", "answer", "digest")
UPDATE = turns.update().where(_THIS).values({name: sa.bindparam(name) for name in _WRITTEN_AT_END})
_THIS_RUNNING = turns.update().where(_THIS, turns.c.status == "running")
KEEP = _THIS_RUNNING.values({name: sa.bindparam(name) for name in ("output", "answer")})
GIVE_UP = _THIS_RUNNING.values({name: sa.bindparam(name) for name in ("output", "status", "answer", "digest")})
TAKE_BACK = turns.delete().where(_THIS)
ANSWER = sa.select(turns.c.answer).where(_THIS)


def _path_query() -> sa.Select[tuple[object, ...]]:
    """The turns before a turn; one that ended with calls or questions counts as one with the turn after it."""
    ended = sa.and_(turns.c.calls.is_(None), turns.c.pending.is_(None))
    step = sa.case((ended, 1), else_=0)
    limit: sa.BindParameter[int] = sa.bindparam("turns")
    path = sa.select(*_COLUMNS, step.label("depth")).where(_THIS, step <= limit).cte("path", recursive=True)
    before = (
        sa.select(*_COLUMNS, path.c.depth + step)
        .join(path, turns.c.id == path.c.parent)
        .where(path.c.depth + step <= limit)
    )
    whole = path.union_all(before)
    return sa.select(*(whole.c[column.name] for column in _COLUMNS)).order_by(whole.c.id)


PATH = _path_query()

"""The server's memory: the replies that wait, and the requests that came."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from dataclasses import dataclass

from tests.scripted_llm.asking import Ask
from tests.scripted_llm.defaults import default_reply
from tests.scripted_llm.replies import JsonObject, Reply, Rule


@dataclass(slots=True)
class Record:
    """One request that came; times are seconds of `time.monotonic`, which all processes share."""

    id: int
    method: str
    path: str
    headers: dict[str, str]
    body: object
    stream: bool = False
    model: str | None = None
    status: int = 200
    tokens: int = 0
    started_at: float = dataclasses.field(default_factory=time.monotonic)
    finished_at: float | None = None
    disconnected_at: float | None = None

    def ended(self, whole: bool, tokens: int) -> None:
        """Note the end of the answer; where it is not `whole` the client has left."""
        self.tokens = tokens
        if whole:
            self.finished_at = time.monotonic()
        else:
            self.disconnected_at = time.monotonic()


class Script:
    """Chooses replies and remembers the newest `capture` requests (none for 0)."""

    def __init__(self, capture: int) -> None:
        self._rules: list[Rule] = []
        self._records: deque[Record] = deque(maxlen=capture)
        self._count = 0

    def add(self, rules: list[Rule]) -> None:
        """Queue `rules` behind those that wait."""
        self._rules += rules

    def reset(self) -> None:
        """Forget everything."""
        self._rules.clear()
        self._records.clear()

    @property
    def waiting(self) -> int:
        """The number of rules that have not been used up."""
        return len(self._rules)

    def reply_to(self, ask: Ask) -> Reply:
        """The first waiting reply that fits, else what the model says by itself."""
        for index, rule in enumerate(self._rules):
            if rule.model is not None and rule.model != ask.model:
                continue
            if rule.contains is not None and rule.contains not in ask.last_user_message:
                continue
            self._use(index, rule)
            return rule.reply
        return default_reply(ask)

    def record(self, method: str, path: str, headers: dict[str, str], body: object) -> Record:
        """Remember a request that has just come."""
        self._count += 1
        record = Record(self._count, method, path, headers, body)
        self._records.append(record)
        return record

    def records(self) -> list[JsonObject]:
        """The requests so far, oldest first."""
        return [dataclasses.asdict(record) for record in self._records]

    def _use(self, index: int, rule: Rule) -> None:
        if rule.times is None:
            return
        if rule.times <= 1:
            del self._rules[index]
        else:
            self._rules[index] = dataclasses.replace(rule, times=rule.times - 1)

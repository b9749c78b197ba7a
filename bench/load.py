"""The load generator: `python -m bench.load` reads a job per line and writes its result as a line."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import itertools
import json
import sys
import time
import uuid
from collections.abc import Callable

from bench.connection import Connection
from bench.jobs import Job, Result, Target
from bench.wire import BadAnswerError, Raw, read_answer, request_bytes
from tests.scripted_llm.replies import numbered_tokens

_SHOWN_ERRORS = 3


@dataclasses.dataclass(slots=True)
class _Tally:
    """What the clients of a job have measured so far."""

    sent: int = 0
    failed: int = 0
    errors: list[str] = dataclasses.field(default_factory=list)
    latencies: list[float] = dataclasses.field(default_factory=list)
    first_tokens: list[float] = dataclasses.field(default_factory=list)
    pauses: list[float] = dataclasses.field(default_factory=list)
    answers: list[tuple[float, Raw]] = dataclasses.field(default_factory=list)
    """When each was asked for, and what came; read when all have come, as reading one holds up the others."""

    def good(self, start: float, end: float, moments: list[float]) -> None:
        self.latencies.append(end - start)
        self.first_tokens.append(moments[0] - start)
        self.pauses.append(max((b - a for a, b in itertools.pairwise(moments)), default=0.0))

    def bad(self, error: Exception) -> None:
        self.failed += 1
        if len(self.errors) < _SHOWN_ERRORS:
            self.errors.append(repr(error)[:500])


async def run(job: Job) -> Result:
    """Do `job`."""
    tally = _Tally()
    expected = "".join(numbered_tokens(job.tokens))
    start = time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for index in range(job.clients):
            clients.create_task(_client(job, tally, start, index))
    elapsed = time.perf_counter() - start
    for asked, raw in tally.answers:
        _read(job, tally, expected, asked, raw)
    return Result(elapsed, tally.failed, tally.errors, tally.latencies, tally.first_tokens, tally.pauses)


async def _client(job: Job, tally: _Tally, start: float, index: int) -> None:
    await asyncio.sleep(job.ramp * index / job.clients)
    connection = Connection(job.target.port)
    try:
        while tally.sent < job.requests and time.perf_counter() - start < job.seconds:
            tally.sent += 1
            await _one(job, tally, connection)
    finally:
        connection.close()


async def _one(job: Job, tally: _Tally, connection: Connection) -> None:
    session = f"{job.session}-{tally.sent % job.sessions}" if job.sessions else uuid.uuid4().hex
    request = request_bytes(job.target, session, stream=job.stream, store=job.store)
    start = time.perf_counter()
    try:
        tally.answers.append((start, await connection.ask(request, job.timeout)))
    except (OSError, TimeoutError) as error:
        connection.close()
        tally.bad(error)


def _read(job: Job, tally: _Tally, expected: str, asked: float, raw: Raw) -> None:
    try:
        tally.good(asked, raw.times[-1], _moments(job, raw, expected))
    except BadAnswerError as error:
        tally.bad(error)


def _moments(job: Job, raw: Raw, expected: str) -> list[float]:
    answer = read_answer(job.target, raw, stream=job.stream)
    if answer.text != expected:
        raise BadAnswerError(f"{len(answer.text)} characters, not the expected {len(expected)}: {answer.text[:200]!r}")
    return list(answer.moments)


def main() -> None:
    """Do the jobs of standard input until it ends; garbage is collected between them only."""
    gc.disable()
    for line in sys.stdin:
        data = json.loads(line)
        job = Job(**{**data, "target": Target(**data["target"])})
        gc.collect()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            result = runner.run(run(job))
        print(json.dumps(dataclasses.asdict(result)), flush=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


if __name__ == "__main__":
    main()

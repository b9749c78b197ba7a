"""Tasks on disk: whose they are, what a process leaves, and what becomes of them with their conversation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from a2a.server.cluster.task_store import ConcurrentTaskModificationError
from a2a.server.context import ServerCallContext
from a2a.types import Artifact, ListTasksRequest, Part, Task, TaskState, TaskStatus
from a2a.utils.errors import InvalidParamsError

from agentllm.a2a.tasks import KEEP_EVERY, Tasks
from agentllm.conversations import Conversations
from agentllm.conversations.identity import conversation_id
from agentllm.conversations.locks import FileLocks, Locks
from agentllm.conversations.schema import KEPT_SECONDS
from agentllm.conversations.store import Store
from tests.a2a.here import ADA, BOB, context_of
from tests.conversations.disk import change, rows, sqlite_url
from tests.conversations.speaking import Speaking

SECRET = b"0" * 32
WORKING, DONE = TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_COMPLETED
SUBMITTED, CANCELED = TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_CANCELED
RUNTIME = Speaking()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> sa.URL:
    """An empty database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    return sa.make_url(request.getfixturevalue("postgres").new_database())


@pytest.fixture
def one(url: sa.URL, tmp_path: Path) -> Iterator[Conversations]:
    yield from opened(url, tmp_path / "locks")


@pytest.fixture
def other(url: sa.URL, tmp_path: Path) -> Iterator[Conversations]:
    """Of a process that shares nothing but the store, and in this one cannot see the locks of the first."""
    yield from opened(url, tmp_path / "locks of the other")


def opened(url: sa.URL, locks: Path) -> Iterator[Conversations]:
    store = Store(url)
    store.create()
    conversations = Conversations(store, SECRET, Locks(FileLocks(locks)), history_turns=20)
    yield conversations
    conversations.close()


@pytest.fixture
async def tasks(one: Conversations) -> Tasks:
    made = Tasks(one)
    await made.open()
    return made


@pytest.fixture
def ada(one: Conversations) -> ServerCallContext:
    return context_of(one, RUNTIME, ADA)


@pytest.fixture
def bob(one: Conversations) -> ServerCallContext:
    return context_of(one, RUNTIME, BOB)


def task(name: str = "1", state: TaskState = SUBMITTED, *texts: str, at: int | None = None, context: str = "c") -> Task:
    status = TaskStatus(state=state)
    status.timestamp.FromNanoseconds(time.time_ns() if at is None else at)
    artifacts = [Artifact(artifact_id="a", parts=[Part(text=text) for text in texts])] if texts else []
    return Task(id=name, context_id=context, status=status, artifacts=artifacts)


def stored_states(url: sa.URL) -> list[object]:
    return [state for (state,) in rows(url, "SELECT state FROM a2a_tasks ORDER BY id")]


async def test_a_task_is_its_caller_s_alone(tasks: Tasks, ada: ServerCallContext, bob: ServerCallContext) -> None:
    await tasks.save(task(), ada)
    await tasks.save(task(state=DONE), ada)
    assert await tasks.get("1", ada) is not None
    assert await tasks.get("1", bob) is None
    assert (await tasks.list(ListTasksRequest(), bob)).total_size == 0
    await tasks.delete("1", bob)
    assert await tasks.get("1", ada) is not None


async def test_a_running_task_is_the_newest_here_and_soon_on_disk(
    tasks: Tasks, ada: ServerCallContext, bob: ServerCallContext, url: sa.URL
) -> None:
    await tasks.save(task(), ada)
    for count in range(1, 20):
        await tasks.save(task("1", WORKING, *"x" * count), ada)
    found = await tasks.get("1", ada)
    assert found is not None
    assert len(found.artifacts[0].parts) == 19
    assert await tasks.get("1", bob) is None
    assert stored_states(url) == [int(WORKING)]
    async with asyncio.timeout(KEEP_EVERY + 5):
        while stored(url).count(b"x") < 19:  # noqa: ASYNC110 - the store tells nobody when it has written
            await asyncio.sleep(0.05)


def stored(url: sa.URL) -> bytes:
    ((found,),) = rows(url, "SELECT task FROM a2a_tasks")
    return bytes(found)  # type: ignore[call-overload, no-any-return]


async def test_the_end_is_on_disk_at_once(tasks: Tasks, ada: ServerCallContext, url: sa.URL) -> None:
    await tasks.save(task(), ada)
    await tasks.save(task("1", WORKING, "half"), ada)
    await tasks.save(task("1", DONE, "whole"), ada)
    assert stored_states(url) == [int(DONE)]
    assert b"whole" in stored(url)


async def test_what_has_ended_elsewhere_stays_so(
    tasks: Tasks, other: Conversations, ada: ServerCallContext, url: sa.URL
) -> None:
    await tasks.save(task(), ada)
    await tasks.save(task("1", WORKING), ada)
    elsewhere = Tasks(other)
    await elsewhere.save(task("1", CANCELED), context_of(other, RUNTIME))
    with pytest.raises(ConcurrentTaskModificationError):
        await tasks.save(task("1", DONE), ada)
    found = await tasks.get("1", ada)
    assert found is not None
    assert found.status.state == CANCELED


async def goes_on(tasks: Tasks, ada: ServerCallContext) -> None:
    while True:
        await tasks.save(task("1", WORKING, "more"), ada)
        await asyncio.sleep(0.05)


async def test_a_running_task_learns_that_it_was_canceled_elsewhere(
    tasks: Tasks, other: Conversations, ada: ServerCallContext
) -> None:
    await tasks.save(task(), ada)
    await tasks.save(task("1", WORKING), ada)
    await Tasks(other).save(task("1", CANCELED), context_of(other, RUNTIME))
    with pytest.raises(ConcurrentTaskModificationError):
        await asyncio.wait_for(goes_on(tasks, ada), KEEP_EVERY + 5)
    found = await tasks.get("1", ada)
    assert found is not None
    assert found.status.state == CANCELED


async def test_tasks_of_a_process_that_is_gone_are_failed(
    tasks: Tasks, other: Conversations, ada: ServerCallContext, url: sa.URL
) -> None:
    for name, state in (("1", WORKING), ("2", DONE), ("3", TaskState.TASK_STATE_INPUT_REQUIRED)):
        await tasks.save(task(name), ada)
        await tasks.save(task(name, state, "said"), ada)
    await Tasks(other).open()
    assert stored_states(url) == [
        int(TaskState.TASK_STATE_FAILED),
        int(DONE),
        int(TaskState.TASK_STATE_INPUT_REQUIRED),
    ]
    found = await Tasks(other).get("1", context_of(other, RUNTIME))
    assert found is not None
    assert found.status.message.parts[0].text
    assert found.artifacts[0].parts[0].text == "said"


async def test_tasks_of_a_process_that_lives_go_on(tasks: Tasks, one: Conversations, ada: ServerCallContext) -> None:
    await tasks.save(task(), ada)
    beside = Tasks(one)
    await beside.open()
    found = await beside.get("1", ada)
    assert found is not None
    assert found.status.state == SUBMITTED


async def test_one_that_is_gone_is_noticed_when_its_task_is_asked_for(
    tasks: Tasks, other: Conversations, ada: ServerCallContext
) -> None:
    elsewhere = Tasks(other)
    await elsewhere.open()
    await tasks.save(task(), ada)
    found = await elsewhere.get("1", context_of(other, RUNTIME))
    assert found is not None
    assert found.status.state == TaskState.TASK_STATE_FAILED


async def test_a_task_is_deleted_with_its_conversation(tasks: Tasks, ada: ServerCallContext, url: sa.URL) -> None:
    conversation = conversation_id(SECRET, ADA, "demo", "c")
    change(url, f"INSERT INTO conversations (id, caller, agent) VALUES ('{conversation}', '[]', 'demo')")
    await tasks.save(task(), ada)
    await tasks.save(task("1", DONE), ada)
    await tasks.save(task("2", context="another"), ada)
    foreign_keys = ["PRAGMA foreign_keys=ON"] if url.get_backend_name() == "sqlite" else []
    change(url, *foreign_keys, "DELETE FROM conversations")
    assert await tasks.get("1", ada) is None
    assert await tasks.get("2", ada) is not None


async def test_one_that_no_conversation_holds_is_forgotten_after_a_day(tasks: Tasks, ada: ServerCallContext) -> None:
    old = time.time_ns() - int((KEPT_SECONDS + 60) * 1e9)
    for name, at in (("old", old), ("new", None)):
        await tasks.save(task(name), ada)
        await tasks.save(task(name, DONE, at=at), ada)
    assert await tasks.forget() == 1
    assert await tasks.get("old", ada) is None
    assert await tasks.get("new", ada) is not None


async def test_they_are_listed_in_pages_the_last_changed_first(tasks: Tasks, ada: ServerCallContext) -> None:
    for number in range(5):
        await tasks.save(task(f"{number}", context="even" if number % 2 == 0 else "odd"), ada)
        await tasks.save(task(f"{number}", DONE, at=1_000 + number // 2, context=("even", "odd")[number % 2]), ada)
    seen: list[str] = []
    request = ListTasksRequest(page_size=2)
    while True:
        page = await tasks.list(request, ada)
        assert page.total_size == 5
        seen += [found.id for found in page.tasks]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == ["4", "3", "2", "1", "0"]
    odd = await tasks.list(ListTasksRequest(context_id="odd"), ada)
    assert [found.id for found in odd.tasks] == ["3", "1"]
    after = ListTasksRequest(status=DONE)
    after.status_timestamp_after.FromNanoseconds(1_002)
    assert [found.id for found in (await tasks.list(after, ada)).tasks] == ["4"]


async def test_a_page_token_that_is_none_is_refused(tasks: Tasks, ada: ServerCallContext) -> None:
    with pytest.raises(InvalidParamsError):
        await tasks.list(ListTasksRequest(page_token="nonsense"), ada)

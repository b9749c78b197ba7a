"""Random talk of three kinds of clients, against a plain model of what each of them may expect.

One client names its messages, as Open WebUI does, one names a session, and one sends transcripts
alone. Turns go well, fail, break off or are left; answers are continued, edited and asked for again;
several turns run at once; the process starts again. Each time the agent must have been given what
the model says: the branch that the client shows, with what only the agent saw, and nothing else.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path
from typing import Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from agentllm.conversations import Conversations
from agentllm.conversations.locks import Locks
from agentllm.conversations.records import CONTINUE
from agentllm.conversations.store import Store
from agentllm.core import Caller, Event, Finished, Message, Place, Text, Turn
from agentllm.errors import AgentFailed
from tests.conversations.conftest import SECRET
from tests.conversations.disk import sqlite_url
from tests.conversations.speaking import Speaking, counted, worked
from tests.conversations.talk import assistant, user

Messages = tuple[Message, ...]
Outcome = Literal["complete", "fails", "breaks off", "is left"]
State = dict[str, int]

questions = st.sampled_from(["why?", "how?"])
answers = st.sampled_from(["yes", "no", "perhaps"])
outcomes = st.sampled_from(["complete", "complete", "complete", "fails", "breaks off", "is left"])
places = st.integers(0, 1_000)


@dataclass(frozen=True)
class Plan:
    """What becomes of a turn."""

    answer: str
    outcome: Outcome

    @property
    def said(self) -> str:
        """What the client sees of it."""
        return {"complete": self.answer, "fails": ""}.get(self.outcome, self.answer[:1])


plans = st.builds(Plan, answers, outcomes)


@dataclass(frozen=True)
class Known:
    """What an agent knows after a turn: all messages that it was given and added, and its state."""

    messages: Messages = ()
    state: State | None = None


@dataclass(frozen=True)
class Asked:
    """What a request must come to: it goes on from `known` with `new`, or with an answer that has `begun` already."""

    known: Known
    new: Messages
    begun: str | None = None

    @property
    def given(self) -> Messages:
        if self.begun is None:
            return (*self.known.messages, *self.new)
        begun = (assistant(self.begun),) if self.new else ()
        return (*self.known.messages, *self.new, *begun, CONTINUE)

    def after(self, turn: Turn, plan: Plan) -> Known:
        """What the agent knows after it."""
        if plan.outcome == "complete":
            return Known((*self.given, *worked(turn.id, plan.answer)), counted(turn))
        said = (self.begun or "" if self.new else "") + plan.said
        if self.begun is not None and not self.new:
            more = (CONTINUE, assistant(said)) if said else ()
            return Known((*self.known.messages, *more), self.known.state)
        return Known((*self.known.messages, *self.new, *((assistant(said),) if said else ())), self.known.state)


def placed(known: Known, shown: Sequence[Message], seen: str) -> Asked:
    """A request that shows `shown` after what is known; `seen` is the end of what is known."""
    if not shown:
        return Asked(known, (), seen)
    if shown[-1].role == "assistant":
        return Asked(known, tuple(shown[:-1]), shown[-1].content)
    return Asked(known, tuple(shown))


@dataclass
class Node:
    """A question and an answer of a chat, as a front end shows them, and what the agent knows of them.

    `checkpoints` holds after how many nodes of the chain the agent knew what, `accounts` the answers
    that were shown in the chain then.
    """

    number: int
    before: Node | None
    question: str
    shown: str = ""
    checkpoints: list[tuple[int, Known]] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)

    @property
    def chain(self) -> list[Node]:
        return [*(self.before.chain if self.before else []), self]

    @property
    def transcript(self) -> list[Message]:
        return [user(self.question), *([assistant(self.shown)] if self.shown else [])]


def trusted(node: Node | None) -> list[tuple[int, Known]]:
    """The checkpoints of `node` up to which its chain is shown as the agent knows it."""
    if node is None:
        return [(0, Known())]
    pairs = zip(node.accounts, (one.shown for one in node.chain), strict=True)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return [checkpoint for checkpoint in node.checkpoints if checkpoint[0] <= same]


def untrusted(node: Node | None) -> list[Message]:
    """What the chain of `node` shows after those."""
    chain = node.chain if node else []
    return [message for one in chain[trusted(node)[-1][0] :] for message in one.transcript]


class Talk(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.numbers = count()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.plans: dict[str, Plan] = {}
        self.runtime = Speaking(self.script)
        self.nodes: list[Node] = []
        self.known: dict[Literal["session", None], dict[Messages, Known]] = {"session": {}, None: {}}
        self.newest: tuple[Messages, Known] = ((), Known())
        self.open()

    def open(self) -> None:
        self.store = Store(sqlite_url(Path(self.folder.name)))
        self.store.create()
        self.conversations = Conversations(self.store, SECRET, Locks(), history_turns=1_000)

    def teardown(self) -> None:
        self.conversations.close()
        self.runner.close()
        self.folder.cleanup()

    async def script(self, turn: Turn) -> AsyncGenerator[Event, None]:
        plan = self.plans[turn.id]
        if plan.outcome == "fails":
            raise AgentFailed("no")
        yield Text(plan.answer[:1])
        if plan.outcome == "breaks off":
            raise AgentFailed("no")
        yield Text(plan.answer[1:])
        yield Finished("stop", worked(turn.id, plan.answer), counted(turn))

    def run(self, *requests: tuple[Sequence[Message], Place, Plan]) -> list[tuple[Turn, int]]:
        """Run turns at once; returns each as the agent was given it and which it is, in the order they ran."""
        turns = [
            Turn(f"turn {next(self.numbers)}", "demo", Caller("k"), tuple(said), place=place)
            for said, place, _ in requests
        ]
        self.plans |= {turn.id: plan for turn, (_, _, plan) in zip(turns, requests, strict=True)}
        self.runtime.turns.clear()

        async def together() -> None:
            await asyncio.gather(*map(self.read, turns))

        self.runner.run(together())
        number = {turn.id: index for index, turn in enumerate(turns)}
        assert len(self.runtime.turns) == len(turns)
        return [(given, number[given.id]) for given in self.runtime.turns]

    async def read(self, turn: Turn) -> None:
        async with aclosing(self.conversations.run(self.runtime, turn)) as events:
            with suppress(AgentFailed):
                async for _ in events:
                    if self.plans[turn.id].outcome == "is left":
                        break

    def check(self, given: Turn, asked: Asked) -> None:
        assert given.messages == asked.given
        assert given.state == asked.known.state

    @rule()
    def restart(self) -> None:
        self.conversations.close()
        self.open()

    # A front end with ids

    @rule(after=st.none() | places, question=questions, these=st.lists(plans, min_size=1, max_size=3))
    def ask_with_ids(self, after: int | None, question: str, these: list[Plan]) -> None:
        """A new message, an edited one or the same again, and one answer or several side by side."""
        before = self.nodes[after % len(self.nodes)] if self.nodes and after is not None else None
        said = [message for node in (before.chain if before else []) for message in node.transcript]
        asked = placed(trusted(before)[-1][1], [*untrusted(before), user(question)], "")
        checkpoints, parent = trusted(before), str(before.number) if before else ""
        nodes = [Node(next(self.numbers), before, question) for _ in these]
        requests = [
            ([*said, user(question)], Place("chat", str(node.number), parent), plan)
            for node, plan in zip(nodes, these, strict=True)
        ]
        for given, index in self.run(*requests):
            self.check(given, asked)
            self.answer(nodes[index], checkpoints, asked.after(given, these[index]), these[index])
        self.nodes += nodes

    @rule(which=places, plan=plans)
    def go_on_with_ids(self, which: int, plan: Plan) -> None:
        shown = [node for node in self.nodes if node.shown]
        if not shown:
            return
        node = shown[which % len(shown)]
        said = [message for one in node.chain for message in one.transcript]
        asked = placed(trusted(node)[-1][1], untrusted(node), node.shown)
        place = Place("chat", str(node.number), str(node.before.number) if node.before else "")
        ((given, _),) = self.run((said, place, plan))
        self.check(given, asked)
        self.answer(node, trusted(node), asked.after(given, plan), plan)

    def answer(self, node: Node, checkpoints: list[tuple[int, Known]], known: Known, plan: Plan) -> None:
        node.shown += plan.said
        node.checkpoints = [*checkpoints, (len(node.chain), known)]
        node.accounts = [one.shown for one in node.chain]

    @rule(which=places, text=st.sampled_from(["edited", "yes", "no"]))
    def edit_an_answer(self, which: int, text: str) -> None:
        if shown := [node for node in self.nodes if node.shown]:
            shown[which % len(shown)].shown = text

    # A client with a session, and one without, that send transcripts

    def expected(self, session: Literal["session", None], shown: Messages) -> Asked:
        known = self.known[session]
        for end in range(len(shown), 0, -1):
            if shown[:end] in known:
                return placed(known[shown[:end]], shown[end:], shown[end - 1].content)
        return placed(Known(), shown, "")

    def send(self, session: Literal["session", None], *requests: tuple[Messages, Plan]) -> None:
        expected = [self.expected(session, shown) for shown, _ in requests]
        for given, index in self.run(*((shown, Place(session), plan) for shown, plan in requests)):
            self.check(given, expected[index])
            self.remember(session, *requests[index], expected[index], given)

    def remember(
        self, session: Literal["session", None], shown: Messages, plan: Plan, asked: Asked, given: Turn
    ) -> None:
        known = asked.after(given, plan)
        if asked.begun is not None:
            shown = (*shown[:-1], assistant(asked.begun + plan.said))
        elif plan.said:
            shown = (*shown, assistant(plan.said))
        if shown[-1].role == "assistant":
            self.known[session][shown] = known
        if session and plan.outcome != "fails":
            self.newest = (shown, known)

    def transcript(self, session: Literal["session", None], which: int, length: int, edited: bool) -> Messages:
        """The transcript of some branch, cut after one of its answers, or with an answer that the client changed."""
        known = list(self.known[session])
        if not known:
            return ()
        shown = known[which % len(known)]
        ends = [end for end, message in enumerate(shown, 1) if message.role == "assistant"]
        shown = shown[: ends[length % len(ends)]]
        return (*shown[:-1], assistant("edited")) if edited else shown

    @rule(
        session=st.sampled_from(["session", None]),
        which=places,
        length=places,
        edited=st.booleans(),
        question=questions,
        these=st.lists(plans, min_size=1, max_size=2),
    )
    def ask_with_a_transcript(
        self,
        session: Literal["session", None],
        which: int,
        length: int,
        edited: bool,
        question: str,
        these: list[Plan],
    ) -> None:
        if shown := self.transcript(session, which, length, edited):
            if session:
                these = these[:1]
            self.send(session, *(((*shown, user(question)), plan) for plan in these))

    @rule(session=st.sampled_from(["session", None]), which=places, length=places, edited=st.booleans(), plan=plans)
    def go_on_with_a_transcript(
        self, session: Literal["session", None], which: int, length: int, edited: bool, plan: Plan
    ) -> None:
        if shown := self.transcript(session, which, length, edited):
            self.send(session, (shown, plan))

    @rule(question=questions, plan=plans)
    def begin_without_a_session(self, question: str, plan: Plan) -> None:
        self.send(None, ((user(question),), plan))

    @rule(question=questions, these=st.lists(plans, min_size=1, max_size=3))
    def ask_in_the_session(self, question: str, these: list[Plan]) -> None:
        """Several at once follow each other."""
        new = (user(question),)
        for given, index in self.run(*((new, Place("session"), plan) for plan in these)):
            shown, known = self.newest
            asked = Asked(known, new)
            self.check(given, asked)
            self.remember("session", (*shown, *new), these[index], asked, given)


Talk.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestTalk = Talk.TestCase

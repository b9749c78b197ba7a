"""Random talk of three kinds of clients, against a plain model of what each of them may expect.

One client names its messages, as Open WebUI does, one names a session, and one sends transcripts
alone. Turns go well, fail, break off or are left; answers are continued, edited and asked for again;
several turns run at once; the process starts again. Each time the agent must have been given what
the model says: the branch that the client shows, with what only the agent saw, and nothing else.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple

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


@dataclass(eq=False)
class Version:
    """An answer of a node as it was once: `added` is what the agent knows of it, `state` what it left.

    It stands on the version `before` of the node before, and continues the version `base` of its own. Of
    one that was `stopped` the agent knows as much as is shown.
    """

    text: str
    added: Messages
    state: State | None
    before: Version | None
    base: Version | None
    stopped: bool

    def as_far_as(self, question: str, text: str) -> Version | None:
        base = self.base.text if self.base else ""
        if not self.stopped or not text.startswith(base):
            return None
        if not (self.text.startswith(text) or text.startswith(self.text)):
            return None
        said = (assistant(text[len(base) :]),) if text[len(base) :] else ()
        if self.base is None:
            return replace(self, text=text, added=(user(question), *said))
        return replace(self, text=text, added=(*self.base.added, *((CONTINUE, *said) if said else ())))


@dataclass
class Node:
    """A question and an answer of a chat, as a front end shows them, and all versions of the answer that there were."""

    number: int
    before: Node | None
    question: str
    shown: str = ""
    versions: list[Version] = field(default_factory=list)

    @property
    def chain(self) -> list[Node]:
        return [*(self.before.chain if self.before else []), self]

    @property
    def transcript(self) -> list[Message]:
        return [user(self.question), *([assistant(self.shown)] if self.shown else [])]

    def versions_shown(self, stored: Version) -> Iterator[tuple[Version, Version]]:
        """Those that can be what is shown, and what they are then: `stored` on the branch first, then the newest."""
        versions = [stored, *reversed(self.versions)]
        yield from ((version, version) for version in versions if version.text == self.shown)
        parts = ((version, version.as_far_as(self.question, self.shown)) for version in versions)
        yield from ((version, part) for version, part in parts if part)


class Branch(NamedTuple):
    """What an agent knows of a branch as it is shown. `stored` is the version of the last answer on which the
    next stands, `shown` that or a part of it, None where the answer is only told."""

    known: Known
    stored: Version | None = None
    shown: Version | None = None

    @classmethod
    def of(cls, node: Node | None, stored: Version | None = None) -> Branch:
        if node is None:
            return cls(Known())
        latest = stored or node.versions[-1]
        stored, shown = next(node.versions_shown(latest), (latest, None))
        before = cls.of(node.before, stored.before).known
        added = shown.added if shown else tuple(node.transcript)
        return cls(Known((*before.messages, *added), shown.state if shown else before.state), stored, shown)


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
        branch = Branch.of(before)
        asked = Asked(branch.known, (user(question),))
        nodes = [Node(next(self.numbers), before, question) for _ in these]
        requests = [
            ([*said, user(question)], Place("chat", str(node.number), str(before.number) if before else ""), plan)
            for node, plan in zip(nodes, these, strict=True)
        ]
        for given, index in self.run(*requests):
            self.check(given, asked)
            self.answer(nodes[index], asked.after(given, these[index]), these[index], branch)
        self.nodes += nodes

    @rule(which=places, plan=plans)
    def go_on_with_ids(self, which: int, plan: Plan) -> None:
        shown = [node for node in self.nodes if node.shown]
        if not shown:
            return
        node = shown[which % len(shown)]
        said = [message for one in node.chain for message in one.transcript]
        branch = Branch.of(node)
        assert branch.stored is not None
        before = Branch.of(node.before, branch.stored.before)
        base = branch.shown
        if base is not branch.stored and (base is None or base.base is None):
            asked, base = Asked(before.known, (user(node.question),), node.shown), None
        else:
            asked = Asked(branch.known, (), node.shown)
        if base is not None and base is not branch.stored:
            node.versions.append(base)
        place = Place("chat", str(node.number), str(node.before.number) if node.before else "")
        ((given, _),) = self.run((said, place, plan))
        self.check(given, asked)
        known = asked.after(given, plan)
        self.answer(node, known, plan, before, base)

    def answer(self, node: Node, known: Known, plan: Plan, before: Branch, base: Version | None = None) -> None:
        """What is known with a new answer of `node`, which stands on `before` or goes on with `base`."""
        node.shown += plan.said
        added = known.messages[len(before.known.messages) :]
        stopped = plan.outcome in ("breaks off", "is left")
        node.versions.append(Version(node.shown, added, known.state, before.stored, base, stopped))

    @rule(which=places, text=st.sampled_from(["edited", "yes", "no"]))
    def edit_an_answer(self, which: int, text: str) -> None:
        if shown := [node for node in self.nodes if node.shown]:
            shown[which % len(shown)].shown = text

    @rule(which=places, version=places, length=st.none() | places)
    def show_an_older_answer(self, which: int, version: int, length: int | None) -> None:
        """Or a part of one, as a front end has it where the process was killed or its client left."""
        if self.nodes:
            node = self.nodes[which % len(self.nodes)]
            text = node.versions[version % len(node.versions)].text
            node.shown = text if length is None else text[: length % (len(text) + 1)]

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

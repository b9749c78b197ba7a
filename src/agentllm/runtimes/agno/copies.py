"""One run's own copies of an agent, of a team with its members, of a workflow with its steps.

A copy is shallow: tools, databases and connections stay shared, and what Agno writes into the
objects while it runs them stays with the run.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from agno.agent import Agent
from agno.models.base import Model
from agno.team import Team
from agno.workflow import Condition, Parallel, Router, Step, Workflow

from agentllm.errors import AgentFailed
from agentllm.llm.default import default_model
from agentllm.runtimes.agno.calls import AgentCalls, Calls
from agentllm.runtimes.agno.model import for_run

Who = TypeVar("Who", bound=Agent | Team)

_TRACKERS = ("_mcp_tools_initialized_on_run", "_connectable_tools_initialized_on_run")
_SIDE_MODELS = ("reasoning_model", "parser_model", "output_model")
_HELPERS = ("memory_manager", "session_summary_manager", "compression_manager", "compaction", "learning")
"""What Agno gives the agent's model where it has none of its own."""


@dataclass(frozen=True, slots=True)
class Copies:
    """Makes the copies of one run, all of whose models tell `calls` what they do."""

    calls: Calls

    def agent(self, shared: Who, *, model: Model | None = None) -> Who:
        """A copy of an agent, or of a team whose members tell all that happens in them.

        Without a model of its own it takes `model`, or else the default one.

        Raises:
            AgentFailed: its model is no model of Agno's.
        """
        own = copy.copy(shared)
        for name in _TRACKERS:
            if hasattr(own, name):
                setattr(own, name, [])
        for name in _HELPERS:
            helper = getattr(own, name, None)
            if helper is not None and getattr(helper, "model", helper) is None:
                setattr(own, name, copy.copy(helper))
        model = own.model or model or default_model()
        if not isinstance(model, Model):
            raise AgentFailed(f"The model of the agent {own.name or own.id!r} is no Agno model.")
        calls = AgentCalls(self.calls)
        own.model = for_run(model, calls)
        for name in _SIDE_MODELS:
            if isinstance(side := getattr(own, name, None), Model):
                setattr(own, name, for_run(side, calls))
        if isinstance(own, Team):
            own.stream_member_events = True
            self._take_members(own, model)
        return own

    def workflow(self, shared: Workflow) -> Workflow:
        """A copy of a workflow whose steps tell all that happens in them.

        Agents that a function calls are out of reach: they stay shared.
        """
        own = copy.copy(shared)
        own.stream_executor_events = True
        if own.agent is not None:
            own.agent = self.agent(own.agent)
        if own.steps is not None and not callable(own.steps):
            own.steps = self._steps(_prepared(shared).steps)
        return own

    def _take_members(self, team: Team, leaders: Model) -> None:
        if isinstance(team.members, list):
            team.members = self._members(team.members, leaders)
            return
        make = team.members

        @functools.wraps(make)
        async def made(*args: Any, **kwargs: Any) -> Any:
            members = make(*args, **kwargs)
            members = await members if inspect.isawaitable(members) else members
            return self._members(members, leaders) if isinstance(members, (list, tuple)) else members

        team.members = cast("Any", made)
        team._callable_members_cache = {}

    def _members(self, shared: Iterable[Any], leaders: Model) -> list[Any]:
        return [self._member(member, number, leaders) for number, member in enumerate(shared, 1)]

    def _member(self, shared: Any, number: int, leaders: Model) -> Any:
        """A copy of a member; the leader knows one without a name by the same id in every run."""
        if not isinstance(shared, (Agent, Team)):
            return shared
        own = self.agent(shared, model=leaders if isinstance(shared, Agent) else None)
        if own.id is None and not own.name:
            own.id = f"member-{number}"
        return own

    def _steps(self, shared: Iterable[Any]) -> list[Any]:
        return [self._step(step) for step in shared]

    def _step(self, shared: Any) -> Any:
        if isinstance(shared, Step):
            return self._leaf(shared)
        own = _prepared(shared)
        if isinstance(own, Router):
            self._take_choices(own)
            return own
        own.steps = self._steps(own.steps)
        if isinstance(own, Condition) and own.else_steps:
            own.else_steps = self._steps(own.else_steps)
        if isinstance(own, Parallel):
            for step in own.steps:
                self._have_joined(step)
        return own

    def _leaf(self, shared: Step) -> Step:
        own = copy.copy(shared)
        if isinstance(own.agent, Agent):
            own.agent = self.agent(own.agent)
        if isinstance(own.team, Team):
            own.team = self.agent(own.team)
        if isinstance(own.workflow, Workflow):
            own.workflow = self.workflow(own.workflow)
        own._set_active_executor()
        return own

    def _take_choices(self, router: Router) -> None:
        """A selector may give one of the steps that it knows, which are the shared ones."""
        shared = router.steps
        router.choices = self._steps(shared)
        if callable(router.selector):
            own = {id(step): copied for step, copied in zip(shared, router.choices, strict=True)}
            router.selector = _selecting(router.selector, own)

    def _have_joined(self, step: Any) -> None:
        """Count the task that runs a parallel step to the run."""
        execute = step.aexecute_stream

        def executed(*args: Any, **kwargs: Any) -> Any:
            self.calls.join()
            return execute(*args, **kwargs)

        step.aexecute_stream = executed


def _prepared(shared: Any) -> Any:
    """A copy of a workflow or of a group of steps, in which all that Agno takes for a step is one."""
    own = copy.copy(shared)
    own._prepare_steps()
    return own


def _selecting(select: Callable[..., Any], own: Mapping[int, Any]) -> Callable[..., Any]:
    """`select`, giving the copy where it gives a shared step."""

    def copied(chosen: Any) -> Any:
        return [copied(one) for one in chosen] if isinstance(chosen, list) else own.get(id(chosen), chosen)

    if inspect.iscoroutinefunction(select):

        @functools.wraps(select)
        async def selected_later(*args: Any, **kwargs: Any) -> Any:
            return copied(await select(*args, **kwargs))

        return selected_later

    @functools.wraps(select)
    def selected(*args: Any, **kwargs: Any) -> Any:
        return copied(select(*args, **kwargs))

    return selected

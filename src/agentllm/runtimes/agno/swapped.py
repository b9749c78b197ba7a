"""What a person set for a conversation, in a run of an Agno agent or of a team's leader.

Whichever class the agent's model has, a call of it for the run can go to another model: what all classes
give back is the same. The agent's own goes on with it, calls the tools and asks again. Calls beside the
run's, such as those for memories, and the calls of a team's members stay with their own models.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from agno.agent import Agent
from agno.models.base import Model
from agno.models.message import Message as AgnoMessage
from agno.models.response import ModelResponse
from agno.run import RunContext
from agno.session import AgentSession, TeamSession
from agno.team import Team

from agentllm.core import Swap, Turn
from agentllm.hotswap.in_force import in_force
from agentllm.llm.default import model_from_name
from agentllm.runtimes.agno.calls import AgentCalls
from agentllm.runtimes.agno.instructions import add_instructions
from agentllm.runtimes.agno.model import (
    WholeCall,
    calls_of,
    for_run,
    is_gemini,
    keep_progress,
    let_swap,
    share_choice,
    tell,
)
from agentllm.runtimes.agno.output import ask_in_form
from agentllm.runtimes.agno.parameters import set_parameters
from agentllm.runtimes.agno.tool_choice import calling


class Swapped:
    """What takes the place of the model and the instructions of `agent`, a copy for the run of `turn`."""

    def __init__(self, agent: Agent | Team, turn: Turn, calls: AgentCalls, context: RunContext) -> None:
        self._agent = agent
        self._turn = turn
        self._calls = calls
        self._context = context
        self._models: dict[str, tuple[Model, str]] = {}
        self._prompts: dict[str, AgnoMessage] = {}
        self.words = ""
        """What the agent's instructions say of the form of the answer."""
        if (name := in_force().model) is not None:
            self._models[name] = self._make(name, turn)

    @property
    def run_id(self) -> str:
        return self._turn.id

    @property
    def model(self) -> Model | None:
        """The model in the place of the agent's own that is in force now; None for the agent's own."""
        found = self._model()
        return None if found is None else found[0]

    async def applied(self, own: Model, arguments: Mapping[str, Any]) -> tuple[Model, dict[str, Any]]:
        """The model to call in the place of `own`, or that itself, and the arguments with what is in force."""
        swap = in_force()
        model, words = self._model() or (own, "")
        messages = arguments["messages"]
        if swap.prompt is not None:
            messages = _with_system(messages, await self._system(swap.prompt))
        if words and words != self.words:
            messages = _with_more(messages, words)
        if model is not own or swap.prompt is not None:
            own.cache_response = False  # Agno's cache does not know of what is in force
        share_choice(own, model)
        return model, {**arguments, "messages": messages}

    async def whole(self, own: Model, model: Model, arguments: dict[str, Any]) -> ModelResponse:
        """An answer of `model` to `own`, which goes on with it."""
        return _counted(own, model, await model.ainvoke(**arguments))

    async def streamed(self, own: Model, model: Model, arguments: dict[str, Any]) -> AsyncIterator[ModelResponse]:
        """The same in pieces; calls of tools come whole, as classes differ in how they put them together."""
        pieces: list[Any] = []
        async for response in model.ainvoke_stream(**arguments):
            pieces += response.tool_calls or ()
            response.tool_calls = []
            yield _counted(own, model, response)
        if pieces:
            yield ModelResponse(tool_calls=[WholeCall(call) for call in model.parse_tool_calls(pieces)])

    def _model(self) -> tuple[Model, str] | None:
        """The model, and what it must be told in words of the form of the answer."""
        name = in_force().model
        if name is None:
            return None
        if name not in self._models:
            # Set in the middle of a turn, whose parameters were for another one.
            self._models[name] = self._make(name, replace(self._turn, drop_unsupported=True))
        return self._models[name]

    def _make(self, name: str, turn: Turn) -> tuple[Model, str]:
        model = for_run(model_from_name(name), self._calls)
        set_parameters(model, turn.parameters, drop_unsupported=turn.drop_unsupported)
        tell(model, calling(model, turn))
        keep_progress(model)
        return model, ask_in_form(model, turn.output_format, turn.id) if turn.output_format else ""

    async def _system(self, prompt: str) -> AgnoMessage:
        """The system message with `prompt` where the agent says who it is and what it is to do."""
        if prompt not in self._prompts:
            self._prompts[prompt] = await self._render(prompt)
        return self._prompts[prompt]

    async def _render(self, prompt: str) -> AgnoMessage:
        # Agno fills in what stands in braces, which is not for a person's words.
        place = f"prompt-{self._turn.id}"
        told: Any = copy.copy(self._agent)
        told.description = told.role = told.expected_output = None
        told.instructions = [place]
        if told.system_message is not None or not getattr(told, "build_context", True):
            told.system_message = place
            add_instructions(told, self._turn, self.words)
        session = (TeamSession if isinstance(told, Team) else AgentSession)(session_id=self._context.session_id)
        message = await told.aget_system_message(
            session=session,
            run_context=self._context,
            add_session_state_to_context=told.add_session_state_to_context,
        )
        return AgnoMessage(role=message.role, content=str(message.content).replace(place, prompt))


def swapping(agent: Agent | Team, turn: Turn, context: RunContext) -> Swapped:
    """Have what is in force during the turn count in `agent`, a copy for its run.

    Raises:
        UnsupportedParameter: the turn sets a parameter that the model in force cannot take.
    """
    assert isinstance(agent.model, Model)
    swapped = Swapped(agent, turn, calls_of(agent.model), context)
    let_swap(agent.model, swapped)
    if in_force() != Swap():
        agent.model.cache_response = False
    return swapped


def _counted(own: Model, model: Model, response: ModelResponse) -> ModelResponse:
    """`response` of `model` with its tokens as `own` counts: Google does not count what was thought as completion."""
    usage = response.response_usage
    if usage is not None and is_gemini(type(own)) and not is_gemini(type(model)):
        usage.output_tokens -= usage.reasoning_tokens
    return response


def _with_system(messages: list[AgnoMessage], system: AgnoMessage) -> list[AgnoMessage]:
    has_one = bool(messages) and messages[0].role == system.role
    return [system, *messages[has_one:]]


def _with_more(messages: list[AgnoMessage], words: str) -> list[AgnoMessage]:
    if messages and messages[0].role == "system":
        told = messages[0].model_copy(update={"content": f"{messages[0].get_content_string()}\n\n{words}"})
        return [told, *messages[1:]]
    return [AgnoMessage(role="system", content=words), *messages]

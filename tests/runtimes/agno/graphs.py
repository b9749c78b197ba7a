"""LangGraph graphs whose model says what a test gives it, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from agno.agents.langgraph import LangGraphAgent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import Field

Wait: TypeAlias = Callable[[], Awaitable[object]]
Step: TypeAlias = str | AIMessageChunk | Exception | Wait
"""What a model does next: say something, fail, or wait."""


class GraphModel(BaseChatModel):
    """Each call takes the next of `says`, the last of them for ever; `asked` has the messages of each call."""

    says: list[Any] = Field(default_factory=lambda: [("hello",)])
    asked: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError("a graph is run asynchronously")

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        self.asked.append(list(messages))
        for step in self.says.pop(0) if len(self.says) > 1 else self.says[0]:
            await asyncio.sleep(0)
            if isinstance(step, Exception):
                raise step
            if isinstance(step, (str, AIMessageChunk)):
                yield ChatGenerationChunk(message=AIMessageChunk(content=step) if isinstance(step, str) else step)
            else:
                await step()


def counted(tokens_in: int, tokens_out: int, **more: Any) -> AIMessageChunk:
    """The last piece of an answer, with its usage."""
    usage: Any = {
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        **more,
    }
    return AIMessageChunk(content="", usage_metadata=usage)


def ended(finish_reason: str) -> AIMessageChunk:
    """The last piece of an answer, with its finish reason."""
    return AIMessageChunk(content="", response_metadata={"finish_reason": finish_reason})


def calling(name: str, arguments: dict[str, Any]) -> AIMessageChunk:
    """A piece that calls a tool."""
    return AIMessageChunk(content="", tool_calls=[{"name": name, "args": arguments, "id": f"call_{name}"}])


def graph(
    *says: Sequence[Step] | str, tools: Sequence[Callable[..., Any]] = (), checkpointer: Any = None, **more: Any
) -> tuple[LangGraphAgent, GraphModel]:
    """An agent whose graph asks one model, and goes back to it after its tools; and that model."""
    model = GraphModel(says=[(item,) if isinstance(item, str) else item for item in says] or [("hello",)])

    async def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    made: Any = StateGraph(MessagesState)
    made.add_node("speak", speak)
    made.add_edge(START, "speak")
    if tools:
        made.add_node("tools", ToolNode(list(tools), handle_tool_errors=False))
        made.add_conditional_edges("speak", tools_condition)
        made.add_edge("tools", "speak")
    else:
        made.add_edge("speak", END)
    return LangGraphAgent(name="graph", graph=made.compile(checkpointer=checkpointer), **more), model


def function_graph(*answers: Any) -> LangGraphAgent:
    """An agent whose graph is one function, which adds `answers` to the messages."""

    def speak(_: MessagesState) -> dict[str, Any]:
        return {"messages": list(answers)}

    made: Any = StateGraph(MessagesState)
    made.add_node("speak", speak)
    made.add_edge(START, "speak")
    made.add_edge("speak", END)
    return LangGraphAgent(name="function", graph=made.compile())


def heard(model: GraphModel, call: int = -1) -> list[tuple[str, str]]:
    """Types and texts of the messages that the model was given in a call of it."""
    return [(message.type, str(message.text)) for message in model.asked[call]]

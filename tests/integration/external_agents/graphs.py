"""A LangGraph graph whose model is the scripted one."""

from typing import Any

from agno.agents.langgraph import LangGraphAgent
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph


def graph() -> LangGraphAgent:
    """Asks one model."""
    model = ChatOpenAI(model="gpt-graph", stream_usage=True, max_retries=0)

    async def speak(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    made: Any = StateGraph(MessagesState)
    made.add_node("speak", speak)
    made.add_edge(START, "speak")
    made.add_edge("speak", END)
    return LangGraphAgent(name="graph", description="A graph.", graph=made.compile())


class Parrot:
    """Follows Agno's agent protocol by itself."""

    id = "parrot"
    name = "Parrot"

    async def arun(self, input: Any, **_: Any) -> Any:  # noqa: A002
        yield f"{input}!"


parrot = Parrot()

__all__ = ["graph", "parrot"]

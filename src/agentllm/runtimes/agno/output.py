"""The form of the answer that a request asks for: what the agent's model is told of it, natively or in words."""

from __future__ import annotations

import json
from typing import Any

from agno.agent import Agent
from agno.models.base import Model
from agno.models.openai import OpenAIChat, OpenAIResponses
from agno.team import Team

from agentllm.core import OutputFormat
from agentllm.llm import gemini
from agentllm.llm.router import RouterModel
from agentllm.runtimes.agno.model import is_gemini, want

_ANY_OBJECT: dict[str, Any] = {"type": "json_object"}


def set_output_format(agent: Agent | Team, form: OutputFormat, run_id: str) -> str:
    """Have `agent`, a copy for the run `run_id`, answer in the form; returns what its instructions must say of that.

    The form takes the place of one that the agent has of its own. Members of a team, and model
    calls that are not the answer's, such as those for memories, are told nothing of it.
    """
    agent.output_schema = None
    agent.markdown = False
    assert isinstance(agent.model, Model)
    return ask_in_form(agent.model, form, run_id)


def ask_in_form(model: Model, form: OutputFormat, run_id: str) -> str:
    """Have `model`, a copy for the run `run_id`, ask for the form; returns what it must be told of that in words."""
    is_native = form.schema is not None and _takes_schema(model)
    if not isinstance(model, RouterModel) or model.takes("response_format"):
        want(model, run_id, _in_openai_form(form) if is_native else _ANY_OBJECT)
    return "" if is_native and _keeps_it_with_tools(model) else _in_words(form)


def _takes_schema(model: Model) -> bool:
    if isinstance(model, RouterModel):
        return model.takes_schema()
    if isinstance(model, OpenAIChat | OpenAIResponses):
        return model.supports_native_structured_outputs or model.supports_json_schema_outputs
    return is_gemini(type(model)) or model.supports_json_schema_outputs


def _keeps_it_with_tools(model: Model) -> bool:
    if isinstance(model, RouterModel):
        return model.takes_tools_with_json()
    return not is_gemini(type(model)) or gemini.takes_tools_with_json(model.id)


def _in_openai_form(form: OutputFormat) -> dict[str, Any]:
    described = {"description": form.description} if form.description else {}
    schema = {"name": form.name, **described, "schema": form.schema, "strict": form.strict}
    return {"type": "json_schema", "json_schema": schema}


def _in_words(form: OutputFormat) -> str:
    kind = "object" if form.schema is None else "value"
    words = f"Answer with one JSON {kind} and nothing else: no text before or after it, no code fence around it."
    if form.schema is None:
        return words
    described = f"It is this: {form.description}\n" if form.description else ""
    schema = json.dumps(form.schema, ensure_ascii=False)
    return f"{words}\n{described}It must be valid against this JSON schema:\n{schema}"

"""The form of an answer as a language model is told of it: in OpenAI's way, or in words."""

from __future__ import annotations

import json
from typing import Any

from agentllm.core import OutputFormat

ANY_OBJECT: dict[str, Any] = {"type": "json_object"}
"""What `response_format` asks for where the form is any JSON object, or the model takes no schema."""


def in_openai_form(form: OutputFormat) -> dict[str, Any]:
    """`form`, which has a schema, as OpenAI's `response_format`."""
    described = {"description": form.description} if form.description else {}
    schema = {"name": form.name, **described, "schema": form.schema, "strict": form.strict}
    return {"type": "json_schema", "json_schema": schema}


def in_words(form: OutputFormat) -> str:
    """`form` as instructions, for a model that is not told of it otherwise."""
    kind = "object" if form.schema is None else "value"
    words = f"Answer with one JSON {kind} and nothing else: no text before or after it, no code fence around it."
    if form.schema is None:
        return words
    described = f"It is this: {form.description}\n" if form.description else ""
    schema = json.dumps(form.schema, ensure_ascii=False)
    return f"{words}\n{described}It must be valid against this JSON schema:\n{schema}"

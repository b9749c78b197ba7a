"""The form that a request asks its answer to have, for a model: in OpenAI's API, and in words."""

from __future__ import annotations

import json
from typing import Any

from agentllm.core import OutputFormat

ANY_OBJECT: dict[str, Any] = {"type": "json_object"}


def in_openai_form(form: OutputFormat) -> dict[str, Any]:
    """What OpenAI's API takes as `response_format` for a form with a schema."""
    described = {"description": form.description} if form.description else {}
    schema = {"name": form.name, **described, "schema": form.schema, "strict": form.strict}
    return {"type": "json_schema", "json_schema": schema}


def in_words(form: OutputFormat) -> str:
    """What a model is told that cannot be asked for the form, or not for it alone."""
    kind = "object" if form.schema is None else "value"
    words = f"Answer with one JSON {kind} and nothing else: no text before or after it, no code fence around it."
    if form.schema is None:
        return words
    described = f"It is this: {form.description}\n" if form.description else ""
    schema = json.dumps(form.schema, ensure_ascii=False)
    return f"{words}\n{described}It must be valid against this JSON schema:\n{schema}"

"""How much longer a model call takes through LiteLLM's router than through Agno's own class for OpenAI's API."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from bench.contenders import Bench, environment
from bench.jobs import TOKENS, median
from bench.processes import ROOT, BenchError
from bench.report import Bar, Section, ms, say, table

if TYPE_CHECKING:
    from agno.models.base import Model

_MODEL = "tokens-20"
_WANTED = 0.003
_FORMS = ("plain", "streamed, first token", "streamed, whole")
_BARRED = _FORMS[:2]
_KINDS = ("own", "joining", "router")
_CALLS = 300
_FIRST = 30
"""Calls before those that count."""

_REST = 0.02
"""Seconds before each call, in which LiteLLM ends what it still does about the call before."""

_CONFIG = (
    "model_list:\n- model_name: {model}\n  litellm_params: {{model: openai/{model}, api_key: k, api_base: {base}}}\n"
)


def measure(bench: Bench) -> Section:
    """Calls of both kinds in turn, in a process of their own."""
    config = bench.folder / "model_calls.yaml"
    config.write_text(_CONFIG.format(model=_MODEL, base=bench.llm.openai_base))
    calls = _CALLS // 3 if bench.quick else _CALLS
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench.model_calls", bench.llm.openai_base, str(calls)],
        env={**environment(), "AGENTLLM_PROXY_CONFIG": str(config)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise BenchError(f"the model calls failed:\n{done.stderr[-2_000:]}")
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    more = {form: times["router"] - times["own"] for form, times in found.items()}
    say("model calls: " + ", ".join(f"{form} {ms(value)} ms more" for form, value in more.items()))
    rows = [[form, *(ms(times[kind]) for kind in _KINDS), ms(more[form])] for form, times in found.items()]
    note = (
        f"{calls} calls of each kind in turn, of {TOKENS['tokens-20']} tokens, without an agent or a proxy; medians. "
        "Agno's own class comes with OpenAI's client; here agents of it get one that joins the chunks of a stream. "
        "LiteLLM takes its time for each chunk."
    )
    worst = max(more[form] for form in _BARRED)
    bar = Bar(
        "a model call through the router, after Agno's own class (worse of plain, and streamed to the first token)",
        f"≤ {_WANTED * 1_000:.0f} ms",
        f"{worst * 1_000:+.1f} ms",
        worst <= _WANTED,
    )
    head = ["", "Agno's OpenAIChat ms", "with the client here ms", "RouterModel ms", "more than Agno's ms"]
    return Section("Model calls", [note, table(head, rows)], [bar])


async def _times(base: str, calls: int) -> dict[str, dict[str, float]]:
    from agno.models.openai import OpenAIChat

    from agentllm.llm.router import RouterModel
    from agentllm.llm.streams import openai_client

    models: dict[str, Model] = {
        "own": OpenAIChat(id=_MODEL, api_key="k", base_url=base),
        "joining": OpenAIChat(id=_MODEL, async_client=openai_client(api_key="k", base_url=base)),
        "router": RouterModel(id=_MODEL),
    }
    times: dict[str, dict[str, list[float]]] = {form: {name: [] for name in models} for form in _FORMS}
    for number in range(calls + _FIRST):
        for name, model in models.items():
            measured = await _plain(model), *await _streamed(model)
            for form, seconds in zip(_FORMS, measured, strict=True):
                times[form][name] += [seconds] if number >= _FIRST else []
    return {form: {name: median(found) for name, found in of_form.items()} for form, of_form in times.items()}


async def _plain(model: Model) -> float:
    """The seconds that an answer takes."""
    await asyncio.sleep(_REST)
    start = time.perf_counter()
    await model.ainvoke(**_arguments())
    return time.perf_counter() - start


async def _streamed(model: Model) -> tuple[float, float]:
    """The seconds to the first token of an answer, and to its end."""
    await asyncio.sleep(_REST)
    start, first = time.perf_counter(), None
    async for piece in model.ainvoke_stream(**_arguments()):
        if first is None and piece.content:
            first = time.perf_counter() - start
    return first or 0.0, time.perf_counter() - start


def _arguments() -> dict[str, Any]:
    from agno.models.message import Message

    return {"messages": [Message(role="user", content="go")], "assistant_message": Message(role="assistant")}


def _main() -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_times(sys.argv[1], int(sys.argv[2])))))


if __name__ == "__main__":
    _main()

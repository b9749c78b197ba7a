"""What a set model and a set prompt cost each later turn of a conversation.

Two conversations of one agent take turns, whose model is asked by way of LiteLLM's router: one with its own
model and instructions, the other with the same model and a prompt set. What is in force is all that differs.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import replace

from bench.contenders import Bench, Running
from bench.jobs import KEY, TOKENS, Job, Kind, Target, median
from bench.processes import BenchError
from bench.report import Bar, Section, ms, say, table

MOST_ADDED = 0.005
"""Seconds."""

_KIND: Kind = "tokens-20"
_NAMES = ("own", "swapped")
_WARM = 20


def measure(bench: Bench) -> Section:
    """The median time of a turn in both conversations, and by how much it differs."""
    rows: list[list[str]] = []
    added: list[float] = []
    if "ours" in bench.names:
        environment = {
            "AGENTLLM_SWAP_MODELS": "openai/*",
            "OPENAI_API_BASE": bench.llm.openai_base,
            "OPENAI_API_KEY": "x",
        }
        with bench.running("ours", environment) as running:
            for stream in (False, True):
                own, swapped = _times(bench, running, stream=stream)
                form = "streamed" if stream else "plain"
                say(f"hotswap {form}: {ms(own)} ms, swapped {ms(swapped)} ms")
                rows.append([form, ms(own), ms(swapped), ms(swapped - own)])
                added.append(swapped - own)
    note = f"{TOKENS[_KIND]} tokens, one client; medians. Both ask the same model by way of LiteLLM's router."
    worst = max(added, default=None)
    bar = Bar(
        "a swap in force, added to the next turn (worse of plain and streamed)",
        f"≤ {MOST_ADDED * 1000:.0f} ms",
        None if worst is None else f"{ms(worst)} ms",
        worst is not None and worst <= MOST_ADDED,
    )
    return Section("A swapped conversation", [note, table(["", "own ms", "swapped ms", "added ms"], rows)], [bar])


def _times(bench: Bench, running: Running, *, stream: bool) -> list[float]:
    """The median of each conversation, timed in turn, so that a slow moment is both conversations'."""
    sessions = [f"{name}-{stream}" for name in _NAMES]
    _say(running, f"{sessions[1]}-0", f"[HOTSWAP:MODEL:openai/{_KIND}]\n[HOTSWAP:PROMPT:Be brief.]")
    times: dict[str, list[float]] = {session: [] for session in sessions}
    for session in sessions:
        _ask(bench, running, session, _WARM, stream=stream)
    for _ in range(3 if bench.quick else 10):
        for session in sessions:
            times[session] += _ask(bench, running, session, 20, stream=stream)
    return [median(times[session]) for session in sessions]


def _ask(bench: Bench, running: Running, session: str, requests: int, *, stream: bool) -> Sequence[float]:
    job = Job(_target(running), TOKENS[_KIND], stream, requests=requests, sessions=1, session=session)
    result = bench.load.run(job)
    if result.failed:
        raise BenchError(f"a turn of {session!r} failed: {result.errors[0]}")
    return result.latencies


def _target(running: Running) -> Target:
    return replace(running.target(_KIND), model="agno/bench-routed")


def _say(running: Running, session: str, text: str) -> None:
    """Say `text` in the session that the load generator then goes on in."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{running.port}/v1/chat/completions",
        json.dumps({"model": _target(running).model, "messages": [{"role": "user", "content": text}]}).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "x-agentllm-session-id": session},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        response.read()

"""`python -m bench [--quick] [--only …] [--contenders …]`, from the root of the repository."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from bench import conversations, first_request, hotswap, live, memory, model_calls, throughput
from bench.contenders import CONTENDERS, Bench
from bench.processes import ROOT, BenchError, LoadGenerator
from bench.report import Section, page, say
from tests.scripted_llm import ScriptedLLM

MEASUREMENTS: dict[str, Callable[[Bench], Section]] = {
    "throughput": throughput.measure,
    "first-request": first_request.measure,
    "live": live.measure,
    "conversations": conversations.measure,
    "hotswap": hotswap.measure,
    "memory": memory.measure,
    "model-calls": model_calls.measure,
}

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    """Measure, print and write the page. The status is 1 where the benchmark itself could not go on."""
    options = _parser().parse_args()
    for number in _SIGNALS:
        signal.signal(number, _stop)
    start = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with ScriptedLLM(capture=0) as llm, LoadGenerator() as load:
            names = [name for name in CONTENDERS if name in options.contenders]
            bench = Bench(folder, llm, load, names, options.quick)
            sections = [MEASUREMENTS[what](bench) for what in options.only]
    except BenchError as error:
        say(f"The benchmark stops: {error}")
        return 1
    except KeyboardInterrupt:
        say("Stopped; all servers are down.")
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    command = " ".join(["python -m bench", *sys.argv[1:]])
    text = page(sections, command=command, seconds=time.monotonic() - start, quick=options.quick)
    print(text)
    options.output.write_text(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer requests and rounds")
    parser.add_argument("--only", type=_choice(list(MEASUREMENTS)), default=list(MEASUREMENTS), metavar="A,B")
    parser.add_argument("--contenders", type=_choice(list(CONTENDERS)), default=list(CONTENDERS), metavar="A,B")
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results.md")
    return parser


def _choice(allowed: list[str]) -> Callable[[str], list[str]]:
    def parse(value: str) -> list[str]:
        chosen = value.split(",")
        if unknown := [name for name in chosen if name not in allowed]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(allowed)}")
        return [name for name in allowed if name in chosen]

    return parse


def _stop(_number: int, _frame: object) -> NoReturn:
    """Unwind once; a second signal must not interrupt the stopping of the servers, which is bounded."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

"""The scripted model's routes: both wire formats, and `/_control` for the tests."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from tests.scripted_llm import gemini_wire, openai_wire
from tests.scripted_llm.answers import Frame
from tests.scripted_llm.asking import Ask, RefusedError
from tests.scripted_llm.gemini_requests import read_generate
from tests.scripted_llm.http import Connection, Request, Response, json_frame
from tests.scripted_llm.openai_requests import read_chat
from tests.scripted_llm.render import GEMINI, OPENAI, Wire, respond
from tests.scripted_llm.replies import rule_from_json
from tests.scripted_llm.script import Record, Script

MODELS = ("scripted", "tokens-20", "tokens-200", "live-200-50", "gemini-2.5-flash", "gemini-3-pro")
_GENERATE = re.compile(r"/v1(?:beta)?/models/(?P<model>[^:/]+):(?P<method>generateContent|streamGenerateContent)$")


class Server:
    """One scripted model; `handle` answers a request without waiting for anything."""

    def __init__(self, capture: int) -> None:
        self._script = Script(capture)
        self._connections: set[Connection] = set()

    async def start(self, host: str, port: int) -> asyncio.Server:
        """Listen; port 0 takes a free one."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Connection(self.handle, self._connections), host, port, backlog=2048)

    def handle(self, request: Request) -> Response:
        """The answer to `request`."""
        path = urlsplit(request.target).path
        if path.startswith("/_control/"):
            return Response([self._control(request, path.removeprefix("/_control/"))])
        body = _json(request.body)
        record = self._script.record(request.method, request.target, dict(request.headers), body)
        if request.method == "POST" and path == "/v1/chat/completions":
            return self._ask(OPENAI, lambda: read_chat(request.headers, body), record)
        if request.method == "POST" and _GENERATE.match(path):
            return self._ask(GEMINI, lambda: _read_generate(request, body), record)
        return Response([_other(request.method, path, record)], on_end=record.ended)

    def _ask(self, wire: Wire, read: Callable[[], Ask], record: Record) -> Response:
        try:
            ask = read()
            record.model, record.stream = ask.model, ask.stream
            reply = self._script.reply_to(ask)
        except (RefusedError, ValueError, KeyError, TypeError) as error:
            refusal = error if isinstance(error, RefusedError) else RefusedError(f"Invalid request: {error!r}")
            record.status = refusal.status
            return Response([wire.error_frame(refusal, 0.0)], on_end=record.ended)
        if reply.error is not None:
            record.status = reply.error.status
        return respond(wire, ask, reply, record.ended)

    def _control(self, request: Request, what: str) -> Frame:
        if what == "script":
            self._script.add([rule_from_json(rule) for rule in json.loads(request.body)])
        elif what == "reset":
            self._script.reset()
            self._drop_answers()
        elif what == "requests":
            return json_frame(200, self._script.records())
        elif what != "waiting":
            return json_frame(404, {"error": f"no control {what!r}"})
        return json_frame(200, {"waiting": self._script.waiting})

    def _drop_answers(self) -> None:
        for connection in [connection for connection in self._connections if connection.busy]:
            connection.close()


def _read_generate(request: Request, body: object) -> Ask:
    url = urlsplit(request.target)
    query = parse_qs(url.query)
    found = _GENERATE.match(url.path)
    assert found is not None
    stream = found["method"] == "streamGenerateContent"
    if stream and query.get("alt") != ["sse"]:
        raise RefusedError("only alt=sse is scripted for streams")
    return read_generate(request.headers, query.get("key", [""])[0], found["model"], body, stream=stream)


def _other(method: str, path: str, record: Record) -> Frame:
    if method == "GET" and path == "/v1/models":
        return openai_wire.models_frame(MODELS)
    if method == "GET" and path == "/v1beta/models":
        return gemini_wire.models_frame(MODELS)
    record.status = 404
    message = f"Invalid URL ({method} {path})"
    return json_frame(
        404, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    )


def _json(body: bytes) -> object:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None

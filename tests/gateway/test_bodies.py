"""Bodies that LiteLLM's authentication breaks on are refused before it."""

from __future__ import annotations

import httpx
import pytest
from litellm.proxy._types import ProxyException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from agentllm.gateway.bodies import CheckedBodies, flaw_of


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b"[]", "a list"),
        (b"[NaN]", "a list"),
        (b"true", "true"),
        (b"null", "null"),
        (b"0", "a number"),
        (b'""', "a string"),
        (b'{"tools": true}', "'tools' is true"),
        (b'{"tools":1.5}', "'tools' is a number"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, flaw: str) -> None:
    assert flaw in (flaw_of(body) or "")


@pytest.mark.parametrize(
    ("metadata", "flaw"),
    [(b"5", "a number"), (b"true", "true"), (b'"x"', "a string"), (b"[]", "a list"), (b"{}", ""), (b"null", "")],
)
def test_metadata_of_a_completion_is_an_object(metadata: bytes, flaw: str) -> None:
    body = b'{"prompt": "hi", "metadata": ' + metadata + b"}"
    assert flaw_of(body) is None
    assert flaw_of(body, is_text_completion=True) == (f"'metadata' is {flaw}; send an object." if flaw else None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b" {",
        b"[",
        b"not json",
        b"[" * 100_000,
        b'{"tools": []}',
        b'{"tools": null}',
        b'{"tools": "1"}',
        b'{"messages": [{"content": "\\"tools\\": true"}]}',
        b'{"metadata": {"tools": true}}',
    ],
)
def test_the_rest_is_litellm_s_to_read(body: bytes) -> None:
    assert flaw_of(body) is None


async def echo(request: Request) -> Response:
    return Response(await request.body())


def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProxyException)
    return JSONResponse({"error": error.to_dict()}, int(error.code))


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])
    app.add_exception_handler(ProxyException, refused)
    assert isinstance(app.router, Router)
    app.router.routes.insert(0, CheckedBodies(app.router))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy.test")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/openai/deployments/a/chat/completions", "/v1/messages"])
async def test_a_body_arrives_as_it_was_sent_or_not_at_all(client: httpx.AsyncClient, path: str) -> None:
    async with client:
        assert (await client.post(path, content=b'{"a": 1}' * 10_000)).content == b'{"a": 1}' * 10_000
        answer = await client.post(path, content=b"[]")
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/responses"), ("POST", "/v1/embeddings")])
async def test_other_requests_are_not_looked_at(client: httpx.AsyncClient, method: str, path: str) -> None:
    async with client:
        assert (await client.request(method, path, content=b"[]")).content == b"[]"


@pytest.mark.parametrize(
    ("missing", "cause", "status"),
    [
        ("prisma", ValueError("api_base is not allowed"), 400),
        ("prisma", RuntimeError("something else"), None),
        ("other", ValueError("something else"), None),
    ],
)
async def test_what_litellm_refuses_is_told_though_prisma_is_not_there(
    missing: str, cause: Exception, status: int | None
) -> None:
    async def refusing(request: Request) -> Response:
        try:
            raise cause
        except Exception:
            raise ModuleNotFoundError(name=missing)  # noqa: B904 - as an import does that fails here

    app = Starlette(routes=[Route("/v1/responses", refusing, methods=["POST"])])
    app.add_exception_handler(ProxyException, refused)
    app.router.routes.insert(0, CheckedBodies(app.router))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy.test") as client:
        if status is None:
            with pytest.raises(ModuleNotFoundError):
                await client.post("/v1/responses", content=b"{}")
        else:
            answer = await client.post("/v1/responses", content=b"{}")
            assert answer.status_code == status
            assert "api_base" in answer.json()["error"]["message"]

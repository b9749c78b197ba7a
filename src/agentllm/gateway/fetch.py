"""Gets what https URLs in a request lead to, and nothing that is not public.

A name is resolved once, all its addresses are checked, and the connection goes to one of these: what the name
means a moment later does not matter. TLS and the `Host` header are still of the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import TypeAlias

import httpx

from agentllm.errors import InvalidRequest
from agentllm.gateway.parts import MOST_BYTES, MOST_BYTES_OF_REQUEST, Fetched

log = logging.getLogger("agentllm.gateway")

TIME_LIMIT = 10.0
"""Seconds for all URLs of a request together, from the first look-up of a name to the last byte."""

MOST_URLS = 32
"""URLs of a request."""

AT_ONCE = 8
"""URLs that are fetched at the same time for a request."""

MOST_REDIRECTS = 3

LONGEST_URL = 8_192
"""Characters; twice what is common for signed URLs of object stores."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close", "User-Agent": "AgentLLM"}
_NO_KEEPING = httpx.Limits(max_keepalive_connections=0)
_SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16")))
"""What IANA keeps for protocols, Teredo and 6to4 among them, which hide an IPv4 address in another one."""
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All that is given out of IPv6; NAT64 and addresses that stand for IPv4 ones lie outside."""

_HOST = re.compile(r"[\w.:-]+", re.ASCII)

Lookup: TypeAlias = Callable[[str], Awaitable[list[str]]]


class Fetcher:
    """Fetches URLs; keeps no connection, no cookie and no credential, and uses no proxy of the environment.

    `lookup` gives the addresses of a name, and `transport` sends a request whose URL has one of them as its host.
    """

    def __init__(self, *, lookup: Lookup | None = None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._lookup = lookup or _addresses_of
        self._transport = transport

    async def fetch(self, urls: Mapping[str, str], *, time_limit: float = TIME_LIMIT) -> dict[str, Fetched]:
        """What the keys of `urls` lead to; their values say where they stand in the request.

        Raises:
            InvalidRequest: one cannot be fetched, which its place and not its text tells, or they are too many,
                too large or too slow.
        """
        if len(urls) > MOST_URLS:
            raise InvalidRequest(
                f"The request holds {len(urls)} URLs of pictures, sounds and files; {MOST_URLS} are the limit. "
                "Send fewer, or the bytes as data URLs.",
                param="messages",
            )
        slots, left = asyncio.Semaphore(AT_ONCE), _Left(MOST_BYTES_OF_REQUEST)
        try:
            async with asyncio.timeout(time_limit), asyncio.TaskGroup() as group:
                tasks = {
                    url: group.create_task(_Fetch(self._lookup, self._transport, place, left).run(url, slots))
                    for url, place in urls.items()
                }
        except TimeoutError:
            raise InvalidRequest(
                f"The URLs of the request could not all be fetched within {time_limit:g} seconds. "
                "Send the bytes as data URLs.",
                param="messages",
            ) from None
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return {url: task.result() for url, task in tasks.items()}


class _Left:
    """How many bytes a request may still fetch."""

    def __init__(self, size: int) -> None:
        self.size = size


class _Fetch:
    """The fetching of one URL."""

    def __init__(self, lookup: Lookup, transport: httpx.AsyncBaseTransport | None, place: str, left: _Left) -> None:
        self._lookup = lookup
        self._transport = transport
        self._place = place
        self._left = left

    async def run(self, url: str, slots: asyncio.Semaphore) -> Fetched:
        async with slots:
            target = self._checked(url)
            for _ in range(MOST_REDIRECTS + 1):
                found = await self._get(target)
                if isinstance(found, Fetched):
                    return found
                target = self._checked(found)
            raise self._refusal(f"leads to more than {MOST_REDIRECTS} redirects")

    def _checked(self, url: str) -> httpx.URL:
        """`url`, which must be one that may be fetched, as far as its text tells."""
        if len(url) > LONGEST_URL:
            raise self._refusal(f"leads to a URL of {len(url)} characters; {LONGEST_URL} are the limit")
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError):
            raise self._refusal("leads to what is no URL") from None
        if parsed.scheme != "https" or not _HOST.fullmatch(_host(parsed)):
            raise self._refusal("leads to a URL that is not of https and a host, and no other is fetched")
        if parsed.userinfo:
            raise self._refusal("leads to a URL with a name or password in it, and such are not fetched")
        if parsed.port not in (None, 443):
            raise self._refusal(f"leads to the port {parsed.port}; only 443 is fetched from")
        return parsed

    async def _get(self, url: httpx.URL) -> Fetched | str:
        """What is at `url`, or where it redirects to."""
        try:
            addresses = await self._lookup(_host(url))
        except (OSError, UnicodeError):
            raise self._refusal("leads to a host that is not known") from None
        if not addresses or not all(map(is_public, addresses)):
            raise self._refusal("leads to an address that is not public, and such are not fetched")
        transport = self._transport or httpx.AsyncHTTPTransport(verify=_certificates(), limits=_NO_KEEPING)
        try:
            response = await self._first_answer(transport, url, addresses)
            try:
                return await self._read(response, url)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            log.info("a URL could not be fetched: %s", type(error).__name__)
            raise self._refusal("leads to a server that could not be reached, or broke off") from None
        finally:
            if self._transport is None:
                await transport.aclose()

    async def _first_answer(
        self, transport: httpx.AsyncBaseTransport, url: httpx.URL, addresses: list[str]
    ) -> httpx.Response:
        for address in addresses[:-1]:
            try:
                return await transport.handle_async_request(_request(url, address))
            except httpx.ConnectError:
                continue
        return await transport.handle_async_request(_request(url, addresses[-1]))

    async def _read(self, response: httpx.Response, url: httpx.URL) -> Fetched | str:
        location = response.headers.get("location")
        if response.status_code in _REDIRECTS and location:
            try:
                return str(url.join(location))
            except (httpx.InvalidURL, ValueError):
                raise self._refusal("leads to a redirect to what is no URL") from None
        if response.status_code != 200:
            raise self._refusal(f"leads to a server that answered with the status {response.status_code}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise self._refusal("leads to a server that compresses what it was asked to send as it is")
        return Fetched(await self._body(response), response.headers.get("content-type"))

    async def _body(self, response: httpx.Response) -> bytes:
        """The body, of which no more is read than may be kept, whatever its headers say."""
        told = response.headers.get("content-length", "")
        if told.isdecimal() and int(told) > MOST_BYTES:
            raise self._too_large()
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            self._left.size -= len(piece)
            if len(body) > MOST_BYTES or self._left.size < 0:
                raise self._too_large()
        if not body:
            raise self._refusal("leads to nothing, not a single byte")
        return bytes(body)

    def _too_large(self) -> InvalidRequest:
        return self._refusal(
            f"leads to too much; {MOST_BYTES // 2**20} MiB are the limit of one URL and "
            f"{MOST_BYTES_OF_REQUEST // 2**20} MiB that of a request"
        )

    def _refusal(self, why: str) -> InvalidRequest:
        return InvalidRequest(f"{self._place} {why}.", param=self._place)


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody in the world can reach, and means no other one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if any(parsed in network for network in _SPECIAL):
        return False
    if parsed.version == 6 and parsed not in _GLOBAL_UNICAST:
        return False
    is_special = parsed.is_private or parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified
    return parsed.is_global and not (is_special or parsed.is_loopback or parsed.is_link_local)


@cache
def _certificates() -> ssl.SSLContext:
    """Those of `SSL_CERT_FILE`, else those that come with httpx."""
    return httpx.create_ssl_context()


def _request(url: httpx.URL, address: str) -> httpx.Request:
    """The request for `url`, to be sent to `address`."""
    return httpx.Request(
        "GET",
        url.copy_with(host=address),
        headers={"Host": url.netloc.decode("ascii"), **_HEADERS},
        extensions={"sni_hostname": _host(url)},
    )


def _host(url: httpx.URL) -> str:
    """As it is looked up: in ASCII, an address without brackets."""
    return url.raw_host.decode("ascii").strip("[]")


async def _addresses_of(name: str) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))

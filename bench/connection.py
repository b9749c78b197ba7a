"""One HTTP/1.1 connection of the load generator: bytes out, timed bytes in, nothing parsed meanwhile."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from typing import cast

from bench.wire import Raw

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """A kept-alive connection to 127.0.0.1 that asks one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[None] | None = None
        self._data = bytearray()
        self._times: list[float] = []
        self._lengths: list[int] = []
        self._whole: int | None = None

    async def ask(self, request: bytes, timeout: float) -> Raw:
        """Send `request` and read the answer to it.

        Raises:
            OSError: the connection cannot be made, or ended within the answer.
            TimeoutError: the answer is not whole within `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        assert self._transport is not None
        self._data, self._times, self._lengths, self._whole = bytearray(), [], [], None
        self._done = loop.create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(timeout):
                await self._done
        except TimeoutError:
            self.close()
            raise
        return Raw(bytes(self._data), self._times, self._lengths)

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionResetError(f"the connection ended within the answer: {exc!r}"))

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._data += data
        self._times.append(time.perf_counter())
        self._lengths.append(len(self._data))
        if self._done is not None and not self._done.done() and self._is_whole():
            self._done.set_result(None)

    def _is_whole(self) -> bool:
        if self._whole is None:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return False
            found = _LENGTH.search(self._data, 0, end)
            self._whole = end + 4 + int(found[1]) if found else 0
        if self._whole:
            return len(self._data) >= self._whole
        return self._data.endswith(b"\r\n0\r\n\r\n")

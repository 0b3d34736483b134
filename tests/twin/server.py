"""A small HTTP/1.1 server on loopback that admits so many requests and answers the others with 429 and retry-after.

`GET /work?agent=NAME&ms=300` is admitted or refused by a limiter, and answered when the work is done. `GET /health` is
answered at once. A limiter returns the seconds until it would admit, 0 where it admits.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol, Self
from urllib.parse import parse_qs, urlsplit

Clock = Callable[[], float]


class Limiter(Protocol):
    """Decides about a request that comes now."""

    def ask(self) -> float:
        """Admit and return 0, or return the seconds until it would have been admitted."""


class TokenBucket:
    """Earns `rate` tokens a second, holds at most `burst`, and begins full."""

    def __init__(self, clock: Clock, rate: float, burst: float) -> None:
        self._clock, self._rate, self._burst = clock, rate, burst
        self._level, self._when = burst, clock()

    def ask(self) -> float:
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._when) * self._rate)
        self._when = now
        if self._level < 1:
            return (1 - self._level) / self._rate
        self._level -= 1
        return 0.0


class FixedWindow:
    """Admits so many in each period, which begins at every multiple of it."""

    def __init__(self, clock: Clock, limit: int, period: float) -> None:
        self._clock, self._limit, self._period = clock, limit, period
        self._window, self._used = 0, 0

    def ask(self) -> float:
        now = self._clock()
        window = math.floor(now / self._period)
        if window != self._window:
            self._window, self._used = window, 0
        if self._used >= self._limit:
            return (window + 1) * self._period - now
        self._used += 1
        return 0.0


class Server:
    """Serves on a free port of loopback while it is entered. `admitted` hears the name of each agent that is let in."""

    url: str
    limiter: Limiter
    """Set it before anybody asks for work."""

    def __init__(self, admitted: Callable[[str], None]) -> None:
        self._admitted = admitted

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(request.split()[1].decode()))
                await writer.drain()
        except asyncio.IncompleteReadError:  # the client has hung up
            pass
        finally:
            writer.close()

    async def _answer(self, target: str) -> bytes:
        url = urlsplit(target)
        if url.path == "/health":
            return _response("200 OK")
        query = parse_qs(url.query)
        if (seconds := self.limiter.ask()) > 0:
            return _response("429 Too Many Requests", f"retry-after: {math.ceil(seconds)}")
        self._admitted(query["agent"][0])
        await asyncio.sleep(float(query["ms"][0]) / 1000)
        return _response("200 OK")


def _response(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "content-length: 0", *headers, "", ""]).encode()

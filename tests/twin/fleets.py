"""The real fleets: asyncio programs as people write them, each with the limit that it is about.

Rules:

1. A fleet knows its own limits and nothing of the scenario: where the two differ, the comparison has to find it.
2. What an agent has to do (when it comes, how long it thinks and works, how much it needs) comes from `Life`, which holds
   what the simulator drew. `Life` sleeps and takes notes; it takes no part in who is admitted.
3. The limits are those of the standard library, of aiolimiter, and of an HTTP server. None is written here, but for what a
   Condition leaves to its user.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, suppress
from typing import Self

import aiolimiter
import httpx
import tenacity

from .records import Attempt, Diary, Page
from .server import FixedWindow, Limiter, Server, TokenBucket


class Life:
    """What one agent does, and when, as the simulator drew it."""

    def __init__(self, agent: str, arrives: float, drawn: Iterable[Attempt], diary: Diary) -> None:
        self.agent = agent
        self._diary = diary
        self._arrives = arrives
        self._works: dict[str, float] = {}
        self._thinks: dict[str, float] = {}
        self._needs: dict[str, float] = {}
        over = arrives
        for attempt in drawn:
            step = attempt.key.step
            self._thinks.setdefault(step, attempt.asked - over)
            self._works[step] = attempt.work_s
            self._needs[step] = attempt.amount
            assert attempt.finished is not None
            over = attempt.finished

    async def arrives(self) -> None:
        """Wait until the agent comes: a timer for the very moment, so that all timers ring in the order of arrivals."""
        loop = asyncio.get_running_loop()
        rings = loop.create_future()
        loop.call_at(self._diary.began + self._arrives, rings.set_result, None)
        await rings
        self._diary.arrives(self.agent)

    async def thinks(self, step: str) -> None:
        """Sleep for as long as the agent thinks before it asks for this step."""
        if (seconds := self._thinks[step]) > 0:
            await asyncio.sleep(seconds)

    def asks(self, step: str) -> Page:
        """Note that the agent asks."""
        return self._diary.asks(self.agent, step)

    async def works(self, step: str) -> None:
        """Sleep for as long as the work of this step takes."""
        await asyncio.sleep(self._works[step])

    def work_s(self, step: str) -> float:
        """How long the work of this step takes."""
        return self._works[step]

    def needs(self, step: str) -> float:
        """How much the agent needs for this step."""
        return self._needs[step]


class Fleet(ABC):
    """What all fleets have in common: they are entered, begin at time 0, and each agent goes its way."""

    served = False
    """Whether an attempt is a call to a server."""
    call: Callable[[], Awaitable[object]] | None = None
    """A call to the server that is answered at once."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def begins(self, diary: Diary) -> None:
        """Set up the limits. Time 0 is a moment later, when `diary.now()` is."""

    @abstractmethod
    async def agent(self, me: Life) -> None:
        """Do what one agent does."""


class Semaphores(Fleet):
    """Everybody asks a model, of which 24 calls may run at once, thinks, and runs a test in one of 16 sandboxes."""

    def begins(self, diary: Diary) -> None:
        self.calls = asyncio.Semaphore(24)
        self.sandboxes = asyncio.BoundedSemaphore(16)

    async def agent(self, me: Life) -> None:
        await me.arrives()
        await self._within(self.calls, me, "ask")
        await me.thinks("test")
        await self._within(self.sandboxes, me, "test")

    async def _within(self, slots: asyncio.Semaphore, me: Life, step: str) -> None:
        page = me.asks(step)
        if slots.locked():
            page.waits()
        async with slots:
            page.starts()
            await me.works(step)
            page.finishes()


class Nested(Fleet):
    """Who trains takes one of 30 machines, and keeps it while it waits for one of 6 GPUs; who builds takes a machine."""

    def begins(self, diary: Diary) -> None:
        self.machines = asyncio.Semaphore(30)
        self.gpus = asyncio.BoundedSemaphore(6)

    async def agent(self, me: Life) -> None:
        await me.arrives()
        await (self._trains(me) if me.agent.startswith("trainer") else self._builds(me))

    async def _builds(self, me: Life) -> None:
        page = me.asks("build")
        if self.machines.locked():
            page.waits()
        async with self.machines:
            page.starts()
            await me.works("build")
            page.finishes()

    async def _trains(self, me: Life) -> None:
        page = me.asks("train")
        if self.machines.locked():
            page.waits()
        async with self.machines:
            if self.gpus.locked():
                page.waits()
            async with self.gpus:
                page.starts()
                await me.works("train")
                page.finishes()


class Patient(Fleet):
    """Everybody wants one of 20 slots, and gives up after 795 ms."""

    def begins(self, diary: Diary) -> None:
        self.slots = asyncio.Semaphore(20)

    async def agent(self, me: Life) -> None:
        await me.arrives()
        page = me.asks("call")
        if self.slots.locked():
            page.waits()
        try:
            async with asyncio.timeout(0.795):
                await self.slots.acquire()
        except TimeoutError:
            page.gives_up()
            return
        page.starts()
        try:
            await me.works("call")
            page.finishes()
        finally:
            self.slots.release()


class Memory(Fleet):
    """288 GB are shared: who needs more than there is waits on a condition, and a smaller one may pass."""

    def begins(self, diary: Diary) -> None:
        self.free = 288.0
        self.given_back = asyncio.Condition()

    async def agent(self, me: Life) -> None:
        await me.arrives()
        page, need = me.asks("run"), me.needs("run")
        async with self.given_back:
            while self.free < need:
                page.waits()
                await self.given_back.wait()
            self.free -= need
        page.starts()
        await me.works("run")
        page.finishes()
        async with self.given_back:
            self.free += need
            self.given_back.notify_all()


class Resized(Fleet):
    """A pool of 40 workers is cut down to 10 after 950 ms, and has 50 from 1.75 s on."""

    def begins(self, diary: Diary) -> None:
        self.size, self.busy = 40, 0
        self.changed = asyncio.Condition()
        self.changes = asyncio.gather(self._resize(0.95 - diary.now(), 10), self._resize(1.75 - diary.now(), 50))

    async def _resize(self, after: float, size: int) -> None:
        await asyncio.sleep(after)
        async with self.changed:
            self.size = size
            self.changed.notify_all()

    async def agent(self, me: Life) -> None:
        await me.arrives()
        page = me.asks("job")
        async with self.changed:
            while self.busy >= self.size:
                page.waits()
                await self.changed.wait()
            self.busy += 1
        page.starts()
        await me.works("job")
        page.finishes()
        async with self.changed:
            self.busy -= 1
            self.changed.notify_all()


class Limited(Fleet):
    """120 requests may go out at once, and 30 a second."""

    def begins(self, diary: Diary) -> None:
        self.requests = aiolimiter.AsyncLimiter(120, time_period=4)

    async def agent(self, me: Life) -> None:
        await me.arrives()
        page = me.asks("request")
        if not self.requests.has_capacity():
            page.waits()
        async with self.requests:
            page.starts()
        await me.works("request")
        page.finishes()


class Clients(Fleet):
    """Clients of an HTTP server that answers 429 to those who come too often."""

    served = True
    retrying: tenacity.AsyncRetrying
    """How a client goes on after a 429."""

    @abstractmethod
    def limiter(self, clock: Callable[[], float]) -> Limiter:
        """The limiter of the server."""

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self._asking: dict[str, Page] = {}
        self._server = await self._stack.enter_async_context(Server(lambda agent: self._asking[agent].starts()))
        self._http = await self._stack.enter_async_context(
            httpx.AsyncClient(
                base_url=self._server.url,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                trust_env=False,
                verify=False,
            )
        )
        self.call = lambda: self._http.get("/health")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def begins(self, diary: Diary) -> None:
        self._server.limiter = self.limiter(diary.now)

    async def agent(self, me: Life) -> None:
        await me.arrives()
        with suppress(httpx.HTTPStatusError):  # the last of its attempts may be refused as well
            await self.retrying.copy()(self._asks, me)

    async def _asks(self, me: Life) -> None:
        self._asking[me.agent] = page = me.asks("ask")
        work = {"agent": me.agent, "ms": str(1000 * me.work_s("ask"))}
        response = await self._http.get("/work", params=work)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            page.is_refused()
        response.raise_for_status()
        page.finishes()


class FixedDelay(Clients):
    """A token bucket in the server; the clients come back after 615 ms, twice."""

    retrying = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_fixed(0.615),
        retry=tenacity.retry_if_exception_type(httpx.HTTPStatusError),
        reraise=True,
    )

    def limiter(self, clock: Callable[[], float]) -> Limiter:
        return TokenBucket(clock, rate=5, burst=88)


def as_told(state: tenacity.RetryCallState) -> float:
    """Return the seconds that the response said."""
    refusal = state.outcome and state.outcome.exception()
    assert isinstance(refusal, httpx.HTTPStatusError)
    return float(refusal.response.headers["retry-after"])


class RetryAfter(Clients):
    """A fixed window in the server; the clients come back when it tells them to, once."""

    retrying = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(2),
        wait=as_told,
        retry=tenacity.retry_if_exception_type(httpx.HTTPStatusError),
        reraise=True,
    )

    def limiter(self, clock: Callable[[], float]) -> Limiter:
        return FixedWindow(clock, limit=75, period=1.0)

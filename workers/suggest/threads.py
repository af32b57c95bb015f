"""Threads for calls that may never return."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class AbandonableThreads:
    """Runs blocking calls for one event loop, each in a thread of its own.

    The threads are daemons, so neither the loop nor the end of the process waits for a call that
    is stuck; the threads of an executor would be joined at the end.

    Args:
        name: of the threads.
        most: how many calls run at once. An abandoned call counts until it returns, so that
            stuck ones do not pile up; further ones wait.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._slots = asyncio.Semaphore(most)

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call returns, or raise what it raises; cancelling abandons it."""
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()  # from here on the thread alone settles it

        def work() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody is waiting
                try:
                    outcome.set_result(call())
                except BaseException as error:  # noqa: BLE001 - it is the waiting caller's
                    outcome.set_exception(error)
                finally:
                    loop.call_soon_threadsafe(self._slots.release)

        try:
            threading.Thread(target=work, name=self._name, daemon=True).start()
        except RuntimeError:  # no further thread can be had
            self._slots.release()
            raise
        return await asyncio.wrap_future(outcome)

"""Work done in threads ahead of whoever consumes it, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def ahead(
    make: Callable[[Given], Made], given: Iterable[Given], *, threads: int, limit: int
) -> Iterator[Made]:
    """Yield `make` of each, in order, at most `limit` ahead of the consumer.

    An error of `make` is raised where its result would have come. A consumer that stops early
    leaves nothing running.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="photos") as pool:
        pending: deque[Future[Made]] = deque()
        try:
            for item in given:
                pending.append(pool.submit(make, item))
                if len(pending) > limit:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

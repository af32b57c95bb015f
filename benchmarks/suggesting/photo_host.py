"""A web server of photos in a process of its own: `photo_host.py FOLDER`.

Prints its port, and ends when its standard input does: with whoever started it.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from aiohttp import web

from workers.local.ports import LOOPBACK


@contextmanager
def photo_host(folder: Path) -> Iterator[int]:
    """Serve the files of a folder over HTTP during the block; yields the port."""
    with Popen([sys.executable, __file__, str(folder)], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            yield int(process.stdout.readline())
        finally:
            process.communicate()


async def _serve(folder: str) -> None:
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))

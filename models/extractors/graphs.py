"""CUDA graphs of one function at several batch sizes: the part that only a GPU can run."""

import threading
from collections.abc import Callable, Sequence

import torch

_WARM_UPS = 3  # as torch's notes on CUDA graphs: libraries choose and allocate in the first runs
_CAPTURES = threading.Lock()  # torch: one capture at a time in a process


def capture(
    run: Callable[[int], None], sizes: Sequence[int], stream: torch.cuda.Stream
) -> dict[int, Callable[[], None]]:
    """Record `run(size)` for every size, and return what replays each on the current stream.

    The largest is recorded first and all share one pool of memory, so the smaller ones need none
    of their own. That is sound because nothing outlives a replay in the pool: replays must
    follow each other on one stream, and `run` reads and writes tensors that it did not make.

    Args:
        run: starts kernels on the current stream, the same ones each time; never waits for them.
        sizes: batch sizes.
        stream: on which warming up and recording take place, and replays should.
    """
    pool = torch.cuda.graph_pool_handle()
    replays: dict[int, Callable[[], None]] = {}
    with _CAPTURES, torch.cuda.device(stream.device):
        stream.wait_stream(torch.cuda.current_stream())
        for size in sorted(sizes, reverse=True):
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UPS):
                    run(size)
            graph = torch.cuda.CUDAGraph()
            # thread_local: another model may be answering in another thread meanwhile
            with torch.cuda.graph(
                graph, pool=pool, stream=stream, capture_error_mode="thread_local"
            ):
                run(size)
            replays[size] = graph.replay
        stream.synchronize()
        torch.cuda.empty_cache()  # warming up has taken as much again outside the pool
    return replays

"""Who waits for a host takes no room from others."""

import asyncio

from workers.suggest.slots import Slots


async def _turns() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn


def test_a_host_has_its_share_and_leaves_the_rest_to_others() -> None:
    async def run() -> None:
        slots = Slots(3, of_a_host=2)
        entered: list[str] = []
        leave = {name: asyncio.Event() for name in "abcde"}

        async def hold(name: str, host: str) -> None:
            async with slots.taken(host):
                entered.append(name)
                await leave[name].wait()

        tasks = [asyncio.create_task(hold(name, "slow")) for name in "abc"]
        await _turns()
        assert entered == ["a", "b"]
        tasks += [asyncio.create_task(hold(name, "other")) for name in "de"]
        await _turns()
        assert entered == ["a", "b", "d"]  # three in all, and c waits for its host

        leave["b"].set()
        await _turns()
        assert sorted(entered[3:]) in (["c"], ["e"])  # whoever is first takes the one place
        leave["a"].set()
        await _turns()
        assert sorted(entered) == ["a", "b", "c", "d", "e"]
        for event in leave.values():
            event.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_a_wait_that_is_cancelled_gives_its_place_back() -> None:
    async def run() -> None:
        slots = Slots(1, of_a_host=1)

        async def hold() -> None:
            async with slots.taken("host"):
                await asyncio.Event().wait()

        tasks = [asyncio.create_task(hold()) for _ in range(3)]
        await _turns()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(20), slots.taken("host"):
            pass

    asyncio.run(run())

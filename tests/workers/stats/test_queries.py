"""Questions over HTTP to real stats workers on a real broker, against plain lists."""

import http.client
import json
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from schemas.partitioner import partition_for
from workers.local.ports import choose_ports

MakeSystem = Callable[[int], Any]
PARTITIONS = 3
SELLERS = [f"seller/{number} é" for number in range(12)]
DEADLINE_S = 90.0


def get(port: int, path: str) -> tuple[int, dict[str, Any], str | None]:
    """Status, JSON body, Location; a worker that does not listen yet answers 0."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response.headers["Location"]
    except ConnectionRefusedError:
        return 0, {}, None
    finally:
        connection.close()


def until(port: int, path: str, good: Callable[[int, dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask again and again until the answer is good."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        status, body, _ = get(port, path)
        if good(status, body):
            return body
        assert time.monotonic() < deadline, (path, status, body)


def seller_path(seller: str, query: str = "currency=GBP&buckets=1") -> str:
    return f"/stats/seller/{quote(seller, safe='')}?{query}"


def check(numbers: dict[str, Any], prices: list[int]) -> None:
    """Prices below 256 are kept exactly."""
    ordered = sorted(prices)
    ranks = [-(-len(ordered) * quarter // 4) for quarter in (1, 2, 3)]
    assert (numbers["count"], numbers["sum"]) == (len(ordered), sum(ordered))
    assert [numbers["q1"], numbers["q2"], numbers["q3"]] == [ordered[rank - 1] for rank in ranks]
    assert abs(numbers["mean"] - sum(ordered) / len(ordered)) <= 0.5
    assert [low for low, _, count in numbers["buckets"] for _ in range(count)] == ordered


def test_workers_answer_for_their_partitions_and_name_the_owner_of_others(
    make_system: MakeSystem, events: Any
) -> None:
    system = make_system(PARTITIONS)
    prices: dict[str, list[int]] = defaultdict(list)
    sales = []
    for number in range(240):
        seller, price = SELLERS[number % 12], 1 + number * 7 % 255
        prices[seller].append(price)
        sales.append(events.sale(number, number, price, seller=seller, category="A > B"))
    everything = [price for each in prices.values() for price in each]
    # The first worker says where it is reached, the second does not.
    first, second = choose_ports(None)
    address = f"127.0.0.1:{first}"
    announcing = system.start(
        "a", SECONDSIGHT_HEALTH_PORT=str(first), SECONDSIGHT_ADVERTISED_ADDRESS=address
    )
    system.start("b", SECONDSIGHT_HEALTH_PORT=str(second))
    ports = (first, second)
    own: dict[int, set[int]] = {}
    deadline = time.monotonic() + DEADLINE_S
    while not all(own.get(port) for port in ports) or sum(map(len, own.values())) != PARTITIONS:
        assert time.monotonic() < deadline, own
        for port in ports:
            _, body, _ = get(port, "/stats/global?currency=GBP")
            own[port] = {state["partition"] for state in body.get("here", {}).get("state", ())}
    assert own[first] | own[second] == set(range(PARTITIONS))

    system.publish("transactions", *sales)
    total = {"count": len(everything)}
    for port in ports:
        for path in ("/stats/global", f"/stats/category/{quote('A > B')}"):
            body = until(
                port,
                f"{path}?currency=GBP&buckets=1",
                lambda status, body: status == 200 and total.items() <= _everywhere(body).items(),
            )
            check(_everywhere(body), everything)
            here = [p for s in SELLERS for p in prices[s] if _home(s) in own[port]]
            if here:
                check(body["here"]["statistics"], here)
    for seller in SELLERS:
        for port in ports:
            status, body, location = get(port, seller_path(seller))
            if _home(seller) in own[port]:
                assert status == 200
                assert (body["partition"], body["name"]) == (_home(seller), seller)
                check(body["statistics"], prices[seller])
                assert body["state"]["positions"]["transactions"] > 0
            elif port == second:
                assert status == 307
                target = urlsplit(location or "")
                assert target.netloc == address
                status, body, _ = get(first, f"{target.path}?{target.query}")
                assert status == 200
                check(body["statistics"], prices[seller])
            else:
                assert status == 404
                assert (body["partition"], body["owner"]["address"]) == (_home(seller), None)
                assert body["owner"]["host"] == "127.0.0.1"

    # What the first one leaves, the second one answers; in between it may say that it cannot.
    assert announcing.stop() == 0
    for seller in SELLERS:
        body = until(second, seller_path(seller), lambda status, _: status == 200)
        check(body["statistics"], prices[seller])
        status, body, _ = get(second, seller_path(seller, "currency=JPY"))
        assert (status, body["statistics"]["count"], body["statistics"]["q2"]) == (200, 0, None)


def test_questions_that_make_no_sense_are_told_so(make_system: MakeSystem) -> None:
    system = make_system(1)
    port, _ = choose_ports(None)
    worker = system.start(SECONDSIGHT_HEALTH_PORT=str(port))
    until(port, "/stats/seller/a?currency=GBP", lambda status, _: status == 200)
    for path, status in (
        ("/stats/", 404),
        ("/stats/seller", 404),
        ("/stats/global/all?currency=GBP", 404),
        ("/stats/../healthz", 404),
        ("/stats/seller/?currency=GBP", 400),
        (f"/stats/seller/{'a' * 129}?currency=GBP", 400),
        (f"/stats/category/{'a' * 513}?currency=GBP", 400),
        ("/stats/seller/%FF?currency=GBP", 400),
        ("/stats/seller/a%00b?currency=GBP", 400),
        ("/stats/seller/a", 400),
        ("/stats/seller/a?currency=", 400),
        ("/stats/seller/a?currency=XXX", 400),
        ("/stats/seller/a?currency=GBP&currency=JPY", 400),
        ("/stats/seller/a?currency=GBP&buckets=yes", 400),
        (f"/stats/seller/a?{'&'.join(f'x{number}=1' for number in range(9))}", 400),
    ):
        found, body, _ = get(port, path)
        assert (found, list(body)) == (status, ["error"]), (path, found, body)
    assert worker.stop() == 0


def _home(seller: str) -> int:
    return partition_for(seller.encode(), PARTITIONS)


def _everywhere(body: dict[str, Any]) -> dict[str, Any]:
    numbers: dict[str, Any] = body["everywhere"]["statistics"]
    return numbers

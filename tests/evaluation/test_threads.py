"""Work on many leads in threads."""

from __future__ import annotations

import threading
import time

import pytest

from ecg_study.evaluation import threads
from ecg_study.evaluation.threads import map_in_threads


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "core_count", lambda: 2)


def test_results_come_in_the_order_of_the_items() -> None:
    def late_if_first(item: int) -> int:
        time.sleep(0.05 if item == 0 else 0)
        return item * item

    assert list(map_in_threads(late_if_first, range(6))) == [0, 1, 4, 9, 16, 25]


def test_two_items_are_worked_on_at_a_time() -> None:
    together = threading.Barrier(2, timeout=10)
    assert sorted(map_in_threads(lambda _: together.wait(), range(4))) == [0, 0, 1, 1]


def test_an_error_ends_the_work() -> None:
    begun: list[int] = []

    def fail(item: int) -> int:
        begun.append(item)
        time.sleep(0.01)
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        list(map_in_threads(fail, range(100)))
    assert len(begun) < 100


def test_a_caller_that_stops_drops_what_has_not_begun() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.01)
        return item

    results = map_in_threads(work, range(100))
    assert next(results) == 0
    results.close()
    count = len(begun)
    assert count < 100
    time.sleep(0.05)
    assert len(begun) == count

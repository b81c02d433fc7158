"""Tests of the streams of batches: content, order, workers and errors."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.segments.batches import Batch
from ecg_study.ecg_data.segments.stream import SegmentStream, ValidationBatches


def _read(rows: np.ndarray, rng: np.random.Generator) -> Batch:
    """Return the rows, and random numbers."""
    return rows.astype(np.float32), rng.random(len(rows))


def _stream(rows: int = 50, batch_size: int = 8, seed: int = 1, segments: int | None = None) -> SegmentStream:
    return SegmentStream(_read, np.arange(rows) + 100, batch_size=batch_size, seed=seed, segments_per_epoch=segments)


def _taken(stream: SegmentStream, count: int, first_step: int = 0, workers: int = 1) -> list[Batch]:
    with closing(stream.batches(first_step, workers=workers)) as batches:
        return list(islice(batches, count))


def _epoch(stream: SegmentStream, epoch: int) -> np.ndarray:
    steps = range(epoch * stream.batches_per_epoch, (epoch + 1) * stream.batches_per_epoch)
    return np.concatenate([stream.batch(step)[0] for step in steps])


def _ends(prefix: str = "segments") -> bool:
    return not any(thread.name.startswith(prefix) for thread in threading.enumerate())


@given(workers=st.integers(1, 4), first_step=st.integers(0, 40), batch_size=st.integers(1, 60), seed=st.integers(0, 9))
def test_the_stream_is_the_same_for_any_number_of_workers_and_any_first_step(
    workers: int, first_step: int, batch_size: int, seed: int
) -> None:
    stream = _stream(batch_size=batch_size, seed=seed)
    expected = [stream.batch(step) for step in range(first_step, first_step + 7)]
    # Another stream, which has not drawn an order before.
    taken = _taken(_stream(batch_size=batch_size, seed=seed), 7, first_step, workers)
    for batch, other in zip(expected, taken, strict=True):
        np.testing.assert_array_equal(batch, other)


@given(rows=st.integers(1, 90), batch_size=st.integers(1, 40), epoch=st.integers(0, 3))
def test_an_epoch_shows_each_row_once(rows: int, batch_size: int, epoch: int) -> None:
    stream = _stream(rows, batch_size)
    sizes = [len(stream.rows(epoch * stream.batches_per_epoch + n)) for n in range(stream.batches_per_epoch)]
    assert sizes[:-1] == [batch_size] * (len(sizes) - 1)
    assert sorted(_epoch(stream, epoch)) == list(range(100, 100 + rows))


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    weights=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    epoch=st.integers(0, 3),
)
def test_groups_fill_their_shares_as_evenly_as_they_can(sizes: list[int], weights: list[int], epoch: int) -> None:
    ends = np.cumsum(sizes)
    groups = [np.arange(end - size, end) for size, end in zip(sizes, ends.tolist(), strict=True)]
    shares = [weight / sum(weights[: len(sizes)]) for weight in weights[: len(sizes)]]
    stream = SegmentStream(
        _read, np.arange(ends[-1]), batch_size=7, seed=1, shares=list(zip(groups, shares, strict=True))
    )
    shown = np.bincount(_epoch(stream, epoch).astype(np.int64), minlength=ends[-1])
    assert shown.sum() == ends[-1] == stream.segments_per_epoch
    for rows, share in zip(groups, shares, strict=True):
        assert abs(shown[rows].sum() - share * ends[-1]) <= 1
        assert shown[rows].max() - shown[rows].min() <= 1, "no row twice as often as another"


def test_epochs_and_seeds_differ_in_order_and_random_numbers() -> None:
    orders = [_epoch(_stream(seed=seed), epoch).tolist() for seed in (1, 2) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    numbers = [_stream(seed=seed).batch(step)[1][0] for seed in (1, 2) for step in range(20)]
    assert len(set(numbers)) == 40


def test_part_of_the_segments_is_drawn_again_in_each_epoch() -> None:
    stream = _stream(segments=20)
    assert (stream.segments_per_epoch, stream.batches_per_epoch) == (20, 3)
    first, second = (_epoch(stream, epoch) for epoch in (0, 1))
    assert len(set(first)) == len(set(second)) == 20
    assert set(first) != set(second)
    assert _stream(segments=999).segments_per_epoch == 50


def test_a_closed_stream_leaves_no_threads() -> None:
    assert len(_taken(_stream(), 3, workers=3)) == 3
    assert _ends()


def test_an_error_is_raised_in_place_of_its_batch_and_ends_the_threads() -> None:
    def fail(rows: np.ndarray, rng: np.random.Generator) -> Batch:
        if 117 in rows:
            raise OSError("disk gone")
        return _read(rows, rng)

    stream = SegmentStream(fail, np.arange(50) + 100, batch_size=8, seed=1)
    bad = next(step for step in range(7) if 117 in stream.rows(step))
    batches = stream.batches(workers=2)
    assert len(list(islice(batches, bad))) == bad
    with pytest.raises(OSError, match="disk gone"):
        next(batches)
    assert _ends()


def test_a_stream_needs_rows() -> None:
    with pytest.raises(ValueError, match="no segments to train on"):
        _stream(rows=0)


def test_validation_keeps_the_order_and_its_random_numbers_depend_on_the_first_row() -> None:
    batches = ValidationBatches(_read, np.arange(20) + 7, batch_size=8)
    assert len(batches) == 3
    np.testing.assert_array_equal(np.concatenate([rows for rows, _ in batches]), np.arange(20) + 7)
    np.testing.assert_array_equal(batches[1][1], np.random.default_rng([0, 15]).random(8))
    with pytest.raises(IndexError):
        batches[3]

"""Running the classical detectors on many leads: side by side, and each result kept by the content of its input."""

from __future__ import annotations

import multiprocessing
import os
import signal as signals
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from ecg_study.errors import EcgStudyError
from ecg_study.evaluation.baselines.detectors import DETECTORS, LEAKS_MEMORY, find_r_peaks
from ecg_study.evaluation.baselines.process_memory import release_freed_memory
from ecg_study.progress import Progress
from ecg_study.result_cache import ResultCache, content_key

BASELINE_FORMAT = 1
"""Raised whenever a detector would find something else in the same signal with the same version of its library."""

_WORTH_PROCESSES = 5_000_000
"""Samples times detectors below which starting processes takes longer than the work: a few seconds of it."""

_LEADS_PER_PROCESS = 6
"""After so many leads of each by a detector that never gives its memory back the processes are replaced. All at once,
by a new pool: one that replaces its processes by itself may wait for ever when the last of them has ended (CPython's
issue 115634)."""


@dataclass(frozen=True)
class Found:
    """What a detector found in one lead.

    Attributes:
        r_peaks: sample indices, int64, strictly rising.
        error: what it said where it gave up; else empty.
    """

    r_peaks: np.ndarray
    error: str = ""


class ClassicalDetectors:
    """The classical detectors, with a memory on disk, and processes that live until `close`.

    Args:
        store: where results are kept.
        progress: told the leads done.
    """

    def __init__(self, store: ResultCache, progress: Progress) -> None:
        self.store = store
        self.progress = progress
        self._pool: ProcessPoolExecutor | None = None
        self._hoarded = 0  # leads that the present processes were given for detectors that keep memory

    def find(
        self, what: str, leads: Mapping[str, np.ndarray], fs: float, names: Sequence[str]
    ) -> dict[str, dict[str, Found]]:
        """R peaks by each of several detectors in each of several leads.

        Args:
            what: said with the progress.
            leads: any name → one lead in mV, shape ``(samples,)``.
            fs: sampling rate in Hz.
            names: of the detectors.

        Returns:
            Name of the lead → detector → what it found.
        """
        found: dict[str, dict[str, Found]] = {lead: {} for lead in leads}
        missing: dict[str, list[str]] = {}
        for lead, signal in leads.items():
            for name in names:
                kept = self.store.get(_key(name, signal, fs))
                if kept is None:
                    missing.setdefault(lead, []).append(name)
                else:
                    found[lead][name] = Found(kept["r_peaks"], str(kept["error"]))
        for done, (lead, results) in enumerate(self._run(leads, missing, fs), start=1):
            for name, result in results.items():
                found[lead][name] = result
                content = {"r_peaks": result.r_peaks, "error": np.array(result.error)}
                self.store.put(_key(name, leads[lead], fs), content)
            self.progress(what, done, len(missing))
        return found

    def close(self) -> None:
        """End the processes; what is not done is given up."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _pool_for(self, names: Iterable[str]) -> tuple[ProcessPoolExecutor, int | None]:
        """Processes for these detectors, and how many leads at most they may be given; ``None`` for any number."""
        processes = os.cpu_count() or 1
        most = processes * _LEADS_PER_PROCESS
        hoards = not LEAKS_MEMORY.isdisjoint(names)
        # What is hoarded is not carried along through work that hoards nothing.
        if self._pool is not None and self._hoarded >= (most if hoards else 1):
            self._pool.shutdown()
            self._pool = None
        if self._pool is None:
            # Spawned, not forked: TensorFlow's threads do not survive a fork.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(processes, context, initializer=_prepare_process)
            self._hoarded = 0
        return self._pool, most - self._hoarded if hoards else None

    def _run(
        self, leads: Mapping[str, np.ndarray], missing: Mapping[str, list[str]], fs: float
    ) -> Iterator[tuple[str, dict[str, Found]]]:
        work = sum(len(leads[lead]) * len(names) for lead, names in missing.items())
        if self._pool is None and work < _WORTH_PROCESSES:
            for lead, names in missing.items():
                yield lead, _find_all(leads[lead], fs, names)
            return
        waiting = list(missing)
        try:
            while waiting:
                pool, room = self._pool_for({name for lead in waiting for name in missing[lead]})
                futures: dict[Future[dict[str, Found]], str] = {
                    pool.submit(_find_all, leads[lead], fs, missing[lead]): lead for lead in waiting[:room]
                }
                self._hoarded += 0 if room is None else len(futures)
                del waiting[: len(futures)]
                for future in as_completed(futures):
                    yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise EcgStudyError(
                "a process with classical detectors was killed (out of memory?); what is finished is kept: "
                "run the same command again"
            ) from error


def _prepare_process() -> None:
    release_freed_memory()
    signals.signal(signals.SIGINT, signals.SIG_IGN)  # Ctrl-C reaches the main process, which ends the others


def _find_all(signal: np.ndarray, fs: float, names: Sequence[str]) -> dict[str, Found]:
    return {name: Found(*find_r_peaks(name, signal, fs)) for name in names}


def _key(name: str, signal: np.ndarray, fs: float) -> str:
    package = next(item.package for item in DETECTORS if item.name == name)
    return content_key({"format": BASELINE_FORMAT, "detector": name, "version": version(package), "fs": fs}, signal)

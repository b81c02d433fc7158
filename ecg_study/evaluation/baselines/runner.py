"""Classical detectors on many leads, in parallel, with a result cache."""

from __future__ import annotations

import os
import signal as signals
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from ecg_study.errors import StateError
from ecg_study.evaluation.baselines.detectors import (
    DETECTORS,
    LEAKS_MEMORY,
    BaselinePeaks,
    detect_r_peaks,
)
from ecg_study.evaluation.baselines.process_memory import release_freed_memory
from ecg_study.progress import Progress
from ecg_study.result_cache import ResultCache, content_key

if TYPE_CHECKING:
    import loky

BASELINE_FORMAT = 1
"""Version of the cached results: raised when a detector would find something else in the same signal with the same
version of its library."""

_WORTH_PROCESSES = 5_000_000
"""Samples times detectors below which starting processes takes longer than the work: a few seconds."""


class ClassicalDetectors:
    """Classical detectors with a result cache, and worker processes that live until `close`.

    loky replaces a worker process that has taken 300 MB more than after its first lead: wfdb's gqrs never frees its
    memory. Workers that ran such a detector are not kept for work without one.

    Args:
        store: the result cache.
        progress: callback for the leads that are done.
    """

    def __init__(self, store: ResultCache, progress: Progress) -> None:
        """Start without worker processes."""
        self.store = store
        self.progress = progress
        self._pool: loky.ProcessPoolExecutor | None = None
        self._leaked = False  # the present processes ran a detector that leaks memory

    def detect(
        self, leads: Mapping[str, np.ndarray], detectors: Sequence[str], *, fs: float, label: str
    ) -> dict[str, dict[str, BaselinePeaks]]:
        """Detect R peaks in several leads by several detectors.

        Args:
            leads: any name → one lead in mV, shape ``(samples,)``.
            detectors: names of the detectors.
            fs: sampling rate in Hz.
            label: text of the progress.

        Returns:
            Name of the lead → name of the detector → R peaks.

        Raises:
            StateError: a worker process was killed.
        """
        found: dict[str, dict[str, BaselinePeaks]] = {lead: {} for lead in leads}
        missing: dict[str, list[str]] = {}
        for lead, signal in leads.items():
            for name in detectors:
                kept = self.store.get(_key(name, signal, fs))
                if kept is None:
                    missing.setdefault(lead, []).append(name)
                else:
                    found[lead][name] = BaselinePeaks.at(kept["r_peaks"], str(kept["error"]))
        work = sum(len(leads[lead]) * len(names) for lead, names in missing.items())
        if missing and (self._pool is not None or work >= _WORTH_PROCESSES):
            finished = self._run_in_processes(leads, missing, fs)
        else:
            finished = ((lead, _detect_all(leads[lead], names, fs)) for lead, names in missing.items())
        with _expected_replacements():
            for done, (lead, results) in enumerate(finished, start=1):
                for name, result in results.items():
                    found[lead][name] = result
                    content = {"r_peaks": result.samples, "error": np.array(result.error)}
                    self.store.put(_key(name, leads[lead], fs), content)
                self.progress(label, done, len(missing))
        return found

    def close(self) -> None:
        """End the worker processes; work that is not done is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, kill_workers=True)
            self._pool = None

    def _pool_for(self, detectors: Iterable[str]) -> loky.ProcessPoolExecutor:
        import loky

        leaks = not LEAKS_MEMORY.isdisjoint(detectors)
        if self._pool is not None and self._leaked and not leaks:
            self._pool.shutdown()
            self._pool = None
        if self._pool is None:
            # loky starts new interpreters: TensorFlow's threads do not survive a fork.
            self._pool = loky.ProcessPoolExecutor(os.cpu_count(), initializer=_prepare_process)
            self._leaked = False
        self._leaked |= leaks
        return self._pool

    def _run_in_processes(
        self, leads: Mapping[str, np.ndarray], missing: Mapping[str, list[str]], fs: float
    ) -> Iterator[tuple[str, dict[str, BaselinePeaks]]]:
        try:
            pool = self._pool_for({name for names in missing.values() for name in names})
            futures: dict[Future[dict[str, BaselinePeaks]], str] = {
                pool.submit(_detect_all, leads[lead], names, fs): lead for lead, names in missing.items()
            }
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise StateError(
                "classical detectors: a worker process was killed (out of memory?); finished results are kept, "
                "so run the same command again"
            ) from error


@contextmanager
def _expected_replacements() -> Iterator[None]:
    """Ignore loky's two warnings about workers that it replaces: workers that have grown are replaced on purpose."""
    with warnings.catch_warnings():
        for cause in ("stopped", "was restarted"):
            text = f"A worker {cause} while some jobs were given"
            warnings.filterwarnings("ignore", text, UserWarning, module=r"loky\.process_executor")
        yield


def _prepare_process() -> None:
    release_freed_memory()
    signals.signal(signals.SIGINT, signals.SIG_IGN)  # Ctrl-C reaches the main process, which ends the others


def _detect_all(signal: np.ndarray, detectors: Sequence[str], fs: float) -> dict[str, BaselinePeaks]:
    return {name: detect_r_peaks(name, signal, fs=fs) for name in detectors}


def _key(detector: str, signal: np.ndarray, fs: float) -> str:
    package = next(item.package for item in DETECTORS if item.name == detector)
    return content_key({"format": BASELINE_FORMAT, "detector": detector, "version": version(package), "fs": fs}, signal)

"""Expected time of a report, from short measurements on this machine."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ecg_study.cores import core_count
from ecg_study.ecg_data.databases.physionet import STRESS_LEVELS
from ecg_study.ecg_data.databases.splits import NOISE_STRESS
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import NOISE_TYPES, RECORDED_NOISE_TYPES
from ecg_study.ecg_data.segments.cache import SegmentCache
from ecg_study.evaluation.baselines.detectors import DETECTOR_NAMES, GQRS, detect_r_peaks
from ecg_study.evaluation.baselines.filters import bandpass, careful_wavelet, highpass_wavelet
from ecg_study.evaluation.calibration import MOTION_LEVELS_DB
from ecg_study.evaluation.experiments.harm import HARM_LEVELS, HARM_METHODS
from ecg_study.evaluation.experiments.noise_types import LEVELS
from ecg_study.evaluation.morphology import wave_changes
from ecg_study.models.card import DENOISER, DETECTOR
from ecg_study.prediction.csv_files import write_signal_csv
from ecg_study.training.task import TrainingTask
from ecg_study.training.timing import Speed
from ecg_study.workflows.preparation import PreparedData

_EXCERPT_S = 60.0  # of a validation lead, on which detectors and filters are timed
_STRESS_RECORD_S = 1805.0  # length of a published record of the noise stress test
_INPUTS = 3  # of the detectors: noisy, denoised and clean test leads
_EVERY = 4  # segments of which one is used under the types of noise
_OVERLAP, _HALF_OVERLAP = 4 / 3, 2.0  # times a lead is read whose segments overlap by a quarter, or by half
_FORWARD = 1 / 3  # of a step of training
_FIXED_S = 45.0  # inference times of the best configurations, model folders, plots and pages
_SPEED_UP = 0.8  # of each core but the first: some of the work is done by one
_NOT_TIMED = 1.25  # drawing of noise, metrics and files: the report of an hour of MIT-BIH took 854 s, its parts 685 s


def expected_report_seconds(
    data: PreparedData, tasks: Mapping[str, TrainingTask], *, speeds: Mapping[str, Sequence[Speed]]
) -> float:
    """Return the seconds that evaluation and report of a study will take on this machine.

    The classical detectors, the filters and the tables of samples are timed on a minute of a validation lead. The time
    of the networks follows from the measured speed of training. Results that are kept from an earlier report are not
    considered.

    Args:
        data: records and split of the study.
        tasks: its models.
        speeds: measured speeds of some configurations of each model.
    """
    test = _seconds(data.cache, data.split.test)
    validation = _seconds(data.cache, data.split.validation)
    has_noise = data.noise_dir is not None
    published = 2 * len(NOISE_STRESS) * len(STRESS_LEVELS) * _STRESS_RECORD_S * has_noise
    stressed = 2 * len(MOTION_LEVELS_DB) * test * has_noise
    work = 0.0
    excerpt, r_peaks = _excerpt(data.cache, data.split.validation)
    if DETECTOR in tasks:
        each = {name: _cost(partial(detect_r_peaks, name, excerpt, fs=data.cache.fs)) for name in DETECTOR_NAMES}
        network = _network_cost(tasks[DETECTOR], speeds.get(DETECTOR, ()))
        work += (_INPUTS * test + published) * sum(each.values())
        work += stressed * sum(cost for name, cost in each.items() if name != GQRS)
        work += (_INPUTS * test + published + stressed + (1 + len(MOTION_LEVELS_DB)) * validation) * network
    if DENOISER in tasks:
        levels = len(HARM_LEVELS) * has_noise
        network = _network_cost(tasks[DENOISER], speeds.get(DENOISER, ()))
        work += (1 + levels) * test * _cost(partial(_filter, excerpt, r_peaks, data.cache.fs))
        single = len(NOISE_TYPES) * len(LEVELS) / _EVERY * has_noise
        passes = 2 + single + len(RECORDED_NOISE_TYPES) * levels
        work += (passes * test + (published + stressed) / 2 + len(HARM_LEVELS) * validation) * network
    tables = test * _cost(partial(_write_table, excerpt, data.cache.fs))  # by one core
    return _FIXED_S + tables + _NOT_TIMED * work / (1 + _SPEED_UP * (core_count() - 1))


def _seconds(cache: SegmentCache, records: Sequence[str]) -> float:
    """Return the length of all leads of some records."""
    return sum(entry.samples for entry in cache.entries_of(records)) / cache.fs


def _excerpt(cache: SegmentCache, records: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return a minute of the first lead of some records in mV, and its R peaks."""
    rows = cache.rows(records)[: int(np.ceil(_EXCERPT_S * cache.fs / cache.settings.segment_samples))]
    return np.concatenate(cache.clean[rows]), np.flatnonzero(np.concatenate(cache.r_peaks[rows]))


def _cost(work: Callable[[], object]) -> float:
    """Return the seconds of work per second of the excerpt; the first of two runs, with its imports, does not count."""
    work()
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / _EXCERPT_S


def _filter(signal: np.ndarray, r_peaks: np.ndarray, fs: float) -> None:
    """Do for one lead and level what "denoising without harm" does with the methods that are no network."""
    reference = remove_baseline_wander(signal, fs)
    cleaned = [bandpass(signal, fs), highpass_wavelet(signal, fs), careful_wavelet(signal, fs)]
    signals = dict(zip(HARM_METHODS, [signal, reference, *cleaned, signal], strict=True))
    wave_changes(reference, signals, r_peaks=r_peaks, fs=fs, excluded_intervals=())


def _write_table(signal: np.ndarray, fs: float) -> None:
    """Write one lead as a CSV file."""
    with tempfile.TemporaryDirectory() as directory:
        write_signal_csv(Path(directory) / "lead.csv", signal, fs=fs, denoised=signal, r_peaks=np.empty(0, np.int64))


def _network_cost(task: TrainingTask, speeds: Sequence[Speed]) -> float:
    """Return the seconds of a network per second of a lead: the mean of the configurations that were measured."""
    measured = [speed.epoch_seconds for speed in speeds if not speed.failure]
    if not measured:
        return 0.0
    per_segment = statistics.mean(measured) / task.segments_per_epoch
    overlap = _HALF_OVERLAP if task.removes_baseline_wander else _OVERLAP
    return overlap * _FORWARD * per_segment * task.cache.fs / task.cache.settings.segment_samples

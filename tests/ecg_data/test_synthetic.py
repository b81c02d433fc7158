"""Tests of the synthetic database: exact, reproducible, varied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecg_study.ecg_data.databases import synthetic
from ecg_study.ecg_data.databases.ecgsyn import EVENT_ANGLES, EVENT_WIDTHS, Waves, rr_tachogram, simulate
from ecg_study.ecg_data.databases.synthetic import FS, SUBJECTS, draw_subjects, write_synthetic
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.readers.wfdb import read_record


def test_same_seed_same_bytes(raw_dir: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    write_synthetic(again, seed=1, subjects=16, duration=30.0)
    write_synthetic(other, seed=2, subjects=16, duration=30.0)
    files = sorted(path.name for path in raw_dir.iterdir())
    assert files == sorted(path.name for path in again.iterdir())
    assert len(files) == 3 * 16 + 1
    for name in files:
        assert (raw_dir / name).read_bytes() == (again / name).read_bytes()
    assert (raw_dir / "s01.dat").read_bytes() != (other / "s01.dat").read_bytes()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_subjects_differ(seed: int) -> None:
    subjects = draw_subjects(seed)
    rates = sorted(subject.heart_rate for subject in subjects)
    assert len(subjects) == SUBJECTS == 30
    assert rates[0] == 45
    assert rates[-1] == 150
    assert sum(subject.premature > 0 for subject in subjects) == 7
    assert sum(subject.irregular for subject in subjects) == 5
    assert sum(subject.inverted for subject in subjects) == 3
    assert len({subject.normal[0].amplitudes.tobytes() for subject in subjects}) == SUBJECTS


def test_r_peaks_are_extrema_of_the_clean_signal(raw_dir: Path) -> None:
    for subject in draw_subjects(1, count=16):
        record = read_record(raw_dir / subject.name)
        polarity = -1 if subject.inverted else 1
        inner = record.r_peaks[(record.r_peaks > 20) & (record.r_peaks < len(record.signal) - 20)]
        around = polarity * record.signal[inner[:, None] + np.arange(-10, 11), 0]
        assert len(inner) > 15
        np.testing.assert_array_equal(around.max(axis=1), around[:, 10], err_msg=subject.name)


def test_the_reference_of_denoisers_is_exact(raw_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the high-pass, respiratory baseline wander is below −30 dB of the signal."""
    without = [replace(subject, baseline_wander=0.0) for subject in draw_subjects(1, count=16)]
    monkeypatch.setattr(synthetic, "draw_subjects", lambda *_, **__: without)
    write_synthetic(tmp_path / "without", seed=1, subjects=16, duration=30.0)
    for subject in without:
        for lead in synthetic.LEADS:
            reference, clean = (
                remove_baseline_wander(read_record(folder / subject.name, lead=lead).signal[:, 0], FS)
                for folder in (raw_dir, tmp_path / "without")
            )
            left = np.mean(np.square(reference - clean)) / np.mean(np.square(clean))
            assert 10 * np.log10(left) < -30, subject.name


def test_heart_rate_is_as_drawn(raw_dir: Path) -> None:
    for subject in draw_subjects(1, count=16):
        if subject.irregular or subject.premature:
            continue
        r_peaks = read_record(raw_dir / subject.name).r_peaks
        rate = 60 * FS / np.mean(np.diff(r_peaks))
        assert rate == pytest.approx(subject.heart_rate, rel=0.06)


def test_simulation_solves_the_equation_of_the_model() -> None:
    """dz/dt = dg/dt - (z - z₀), with g summed by hand over the beats before and after each sample."""
    fs = 2000.0
    amplitudes = np.array([0.1, -0.1, 1.0, -0.2, 0.3])
    times = np.array([-0.5, 0.5, 1.3, 2.4, 3.4])
    baseline = 0.1 * np.sin(2 * np.pi * 0.3 * np.arange(int(2 * fs)) / fs)
    z = simulate(
        times, np.zeros(5, int), kinds=[Waves(EVENT_ANGLES, amplitudes, EVENT_WIDTHS)], baseline=baseline, fs=fs
    )
    t = np.arange(len(z)) / fs
    g = np.zeros(len(z))
    for sample, now in enumerate(t):
        before = max(i for i in range(5) if times[i] <= now)
        rr = times[before + 1] - times[before]
        for beat in (before, before + 1):
            angle = 2 * np.pi * (now - times[before]) / rr - 2 * np.pi * (beat - before)
            for centre, amplitude, width in zip(EVENT_ANGLES, amplitudes, EVENT_WIDTHS, strict=True):
                scale = rr**-0.5
                g[sample] += amplitude * np.exp(-0.5 * ((angle - centre * scale) / (width * scale)) ** 2)
    left = np.gradient(z, t)
    right = np.gradient(g, t) - (z - baseline)
    assert np.max(np.abs(left - right)[5:-5]) < 0.02 * np.max(np.abs(left))


def test_tachogram_has_mean_and_deviation() -> None:
    rr, rate = rr_tachogram(600, mean=0.8, deviation=0.05, respiration=0.25, lf_hf=1.0, rng=np.random.default_rng(0))
    assert rr.mean() == pytest.approx(0.8)
    assert rr.std() == pytest.approx(0.05)
    power = np.abs(np.fft.rfft(rr - rr.mean())) ** 2
    frequency = np.fft.rfftfreq(len(rr), 1 / rate)
    near = (np.abs(frequency - 0.1) < 0.05) | (np.abs(frequency - 0.25) < 0.05)
    assert power[near].sum() > 0.99 * power.sum()


def test_beats_must_span_the_record() -> None:
    waves = Waves(EVENT_ANGLES, np.ones(5), EVENT_WIDTHS)
    with pytest.raises(ValueError, match="before the first sample"):
        simulate(np.array([0.5, 1.5]), np.zeros(2, int), kinds=[waves], baseline=np.zeros(360), fs=360)

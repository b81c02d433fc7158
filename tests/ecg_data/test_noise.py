"""Tests of recorded noise: parts, levels, and the recipe of the noise stress records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.databases.physionet import NOISE_RECORDS, STRESS_LEVELS, stress_record
from ecg_study.ecg_data.databases.splits import NOISE_STRESS, PARTS, TEST, TRAIN
from ecg_study.ecg_data.noise import RECORDED_NOISE_TYPES, NoiseSource, NoiseType, add_at_snr
from ecg_study.ecg_data.noise_records import NoiseRecords, find_noise_directory, open_noise_records
from ecg_study.ecg_data.noise_stress import add_stress_noise, noise_amplitude, noise_mask, qrs_amplitude
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.errors import EcgStudyError
from tests.conftest import SmallData


@pytest.fixture(scope="module")
def noise(noise_dir: Path) -> NoiseRecords:
    """The small noise records."""
    return open_noise_records(noise_dir)


@given(minutes=st.floats(5.1, 60), fs=st.sampled_from([125.0, 250.0, 360.0]))
def test_no_sample_is_for_two_parts(minutes: float, fs: float) -> None:
    signals: dict[str, np.ndarray] = {
        name: np.zeros((round(minutes * 60 * fs), 2), np.float32) for name in NOISE_RECORDS
    }
    records = NoiseRecords(Path(), fs, signals, {})
    for name in NOISE_RECORDS:
        used = np.zeros(len(signals[name]), dtype=int)
        for part in PARTS:
            for start, end in records.intervals(name, part):
                assert 0 <= start < end <= len(used)
                used[start:end] += 1
        assert used.min() == used.max() == 1, "every sample is for one of the three"


def test_em_for_tests_is_where_the_stress_records_have_it() -> None:
    em = NoiseRecords(Path(), 1.0, {name: np.zeros((31 * 60, 2)) for name in NOISE_RECORDS}, {})
    minutes = [(start / 60, end / 60) for start, end in em.intervals("em", TEST)]
    assert minutes == [(5, 7), (9, 11), (13, 15), (17, 19), (21, 23), (25, 27), (29, 31)]
    noisy = noise_mask(31 * 60, fs=1.0)
    assert [bool(noisy[60 * minute + 30]) for minute in range(31)] == [
        any(start <= minute < end for start, end in minutes) for minute in range(31)
    ]


@pytest.mark.parametrize("noise_type", RECORDED_NOISE_TYPES)
def test_drawn_noise_has_mean_0_and_power_1(noise: NoiseRecords, noise_type: NoiseType) -> None:
    drawn = noise.draw(noise_type, TEST, count=20, samples=720, seed=[1, 2])
    assert drawn.shape == (20, 720)
    np.testing.assert_allclose(drawn.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose((drawn**2).mean(axis=1), 1, rtol=1e-3)
    np.testing.assert_array_equal(drawn, noise.draw(noise_type, TEST, count=20, samples=720, seed=[1, 2]))
    assert not np.allclose(drawn, noise.draw(noise_type, TEST, count=20, samples=720, seed=[1, 3]))


def test_varied_noise_is_turned_reversed_stretched_and_mixed() -> None:
    """A ramp in one channel and a fast one in the other tell what was done to them."""
    at = np.arange(4000.0)
    bank = NoiseSource({"em": [np.column_stack([at, np.zeros(4000)])]})
    drawn = bank.draw("em", count=400, samples=500, rng=np.random.default_rng(1), transform=True)
    np.testing.assert_allclose(drawn.mean(axis=1), 0, atol=1e-4)
    power = (drawn**2).mean(axis=1)
    silent = power < 0.5  # the channel of zeros alone
    assert 0.05 < silent.mean() < 0.45
    np.testing.assert_allclose(power[~silent], 1, rtol=1e-3)
    rising = np.diff(drawn[~silent], axis=1).mean(axis=1) > 0
    assert 0.3 < rising.mean() < 0.7, "either way up, forwards or backwards"
    sine = np.sin(2 * np.pi * at / 100)
    waves = NoiseSource({"em": [np.column_stack([sine, sine])]}).draw(
        "em", count=400, samples=1000, rng=np.random.default_rng(2), transform=True
    )
    turns = np.abs(np.diff(np.signbit(waves), axis=1)).sum(axis=1)
    assert turns.min() < 19 and turns.max() > 22, "20 of them where it is not stretched"
    assert set(turns) <= set(range(15, 27)), "by a quarter at most"
    assert 0.3 < np.isin(turns, (19, 20, 21)).mean() < 0.95


def test_noise_that_is_shorter_than_what_is_drawn_is_refused() -> None:
    bank = NoiseSource({"em": [np.ones((600, 2))]})
    assert bank.draw("em", count=2, samples=600, rng=np.random.default_rng(1)).shape == (2, 600)
    with pytest.raises(ValueError, match="em: no recording has 751 samples"):
        bank.draw("em", count=2, samples=600, rng=np.random.default_rng(1), transform=True)


def test_drawn_noise_is_of_its_part_alone(noise: NoiseRecords) -> None:
    """With the test part silenced but for a spike, training never shows the spike."""
    signals = {name: np.random.default_rng(0).normal(size=signal.shape) for name, signal in noise.signals.items()}
    for name, signal in signals.items():
        for start, end in noise.intervals(name, TEST):
            signal[start:end] = 1000.0 * np.sign(signal[start:end])
    marked = NoiseRecords(noise.directory, noise.fs, signals, {})
    for name in NOISE_RECORDS:
        peak = np.abs(marked.draw(name, TRAIN, count=200, samples=720, seed=[1])).max(axis=1)
        assert (peak > 1.5).all(), "normal noise, and no block of ±1000, whose unit power is 1"
        assert (np.abs(marked.draw(name, TEST, count=200, samples=720, seed=[1])).max(axis=1) < 1.5).all()


def test_a_stretch_too_short_is_refused(noise: NoiseRecords) -> None:
    with pytest.raises(ValueError, match="em: no recording has 100000 samples"):
        noise.draw("em", TEST, count=1, samples=100_000, seed=[1])


@given(snr=st.floats(-20, 40), height=st.floats(0.01, 5))
def test_noise_is_scaled_to_the_snr(snr: float, height: float) -> None:
    clean = height * np.sin(np.arange(1000) / 7)[None] + 3.0
    unit = np.random.default_rng(0).normal(size=(1, 1000))
    unit = (unit - unit.mean()) / unit.std()
    added = add_at_snr(clean, unit, snr_db=snr) - clean
    assert 10 * np.log10(np.var(clean) / np.mean(added**2)) == pytest.approx(snr, abs=1e-3)


def test_levels_by_hand() -> None:
    signal = np.zeros(5000, np.float32)
    beats = np.arange(200, 4800, 200)
    signal[beats], signal[beats + 2] = 1.0, -0.5
    assert qrs_amplitude(signal, beats, fs=360) == pytest.approx(1.5)
    wave = np.sin(2 * np.pi * np.arange(360 * 20) / 36)
    assert noise_amplitude(wave, fs=360) == pytest.approx(np.sqrt(0.5), rel=1e-3)
    wave[360 * 3 : 360 * 4] *= 100  # one second in twenty: trimmed
    assert noise_amplitude(wave, fs=360) == pytest.approx(np.sqrt(0.5), rel=1e-3)


def test_stress_leaves_the_quiet_minutes_and_makes_no_step() -> None:
    fs, rng = 60.0, np.random.default_rng(0)
    samples = round(12 * 60 * fs)
    signal = np.zeros(samples, np.float32)
    beats = np.arange(30, samples - 30, 60)
    signal[beats] = 1.0
    noise = np.cumsum(rng.normal(0, 0.01, samples)) + 5.0
    stressed = add_stress_noise(signal, beats, noise=noise, fs=fs, snr_db=6.0)
    added = stressed - signal
    quiet = ~noise_mask(samples, fs=fs)
    np.testing.assert_allclose(added[: round(300 * fs)], 0, atol=1e-6)
    np.testing.assert_allclose(np.diff(added)[quiet[1:]], 0, atol=1e-6)
    gain = np.sqrt(1 / 8 * 10**-0.6) / noise_amplitude(noise, fs=fs)
    np.testing.assert_allclose(np.diff(added)[~quiet[1:]], gain * np.diff(noise)[~quiet[1:]], atol=1e-5)
    with pytest.raises(ValueError, match="too few"):
        add_stress_noise(signal, beats, noise=noise[:100], fs=fs, snr_db=6.0)


@pytest.mark.parametrize("snr", STRESS_LEVELS)
@pytest.mark.parametrize("name", NOISE_STRESS)
def test_the_recipe_gives_the_published_records(name: str, snr: int, real_data: Path) -> None:
    """Our 118 and 119 with noise against those of the database: the same noise at the same places, within 0.3 dB."""
    clean = read_record(real_data / "mitdb" / name)
    published = read_record(real_data / "nstdb" / stress_record(name, snr))
    em = open_noise_records(real_data / "nstdb").signals["em"][:, 0]
    ours = add_stress_noise(clean.signal[:, 0], clean.r_peaks, noise=em, fs=360, snr_db=snr) - clean.signal[:, 0]
    theirs = published.signal[:, 0] - clean.signal[:, 0]
    ours, theirs = ours[:-1], theirs[:-1]  # nst ends with a step of its own
    noisy = noise_mask(len(ours), fs=360)[1:]
    np.testing.assert_allclose(np.diff(theirs)[~noisy], 0, atol=0.011)  # two steps of their converter
    moved, wanted = np.diff(ours)[noisy], np.diff(theirs)[noisy]
    if snr <= 6:  # above, the steps of the converter are no smaller than the noise
        assert np.corrcoef(moved, wanted)[0, 1] > 0.99
    assert abs(20 * np.log10(np.std(ours) / np.std(theirs))) < 0.3


def test_where_the_noise_is_looked_for(small_data: SmallData, noise_dir: Path, tmp_path: Path) -> None:
    database = small_data.database
    assert find_noise_directory(database, raw_dir="records", data_dir=tmp_path) is None
    assert find_noise_directory(database, raw_dir="records", noise_dir=str(noise_dir), data_dir=tmp_path) == noise_dir
    with pytest.raises(EcgStudyError, match=r"noise_dir: .* is not a folder"):
        find_noise_directory(database, raw_dir="records", noise_dir=str(tmp_path / "none"), data_dir=tmp_path)


def test_damaged_noise_is_refused(noise_dir: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(noise_dir, tmp_path / "noise")
    (tmp_path / "noise" / "SHA256SUMS.txt").write_text("0" * 64 + " em.dat\n")
    with pytest.raises(EcgStudyError, match=r"em\.dat: differs from its SHA-256"):
        open_noise_records(tmp_path / "noise")
    (tmp_path / "noise" / "SHA256SUMS.txt").unlink()
    (tmp_path / "noise" / "ma.hea").unlink()
    with pytest.raises(EcgStudyError, match=r"ma\.hea: no such file"):
        open_noise_records(tmp_path / "noise")

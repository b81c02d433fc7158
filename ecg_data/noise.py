"""Noise that is added to clean records."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.catalog import Database, checked_files
from ecg_study.ecg_data.databases.physionet import CHECKSUMS, NOISE_RECORDS, NSTDB, download
from ecg_study.ecg_data.readers.recording import ALL_LEADS
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.ecg_data.resampling import resample
from ecg_study.errors import EcgStudyError, RecordError, SettingsError
from ecg_study.files import read_checksums
from ecg_study.progress import Progress


def gaussian_noise(samples: int, sigma: float, seed: int, record: str, lead: str) -> np.ndarray:
    """White Gaussian noise for one lead of one record, float32 of shape ``(samples,)``, in mV.

    It depends on the seed, the record and the lead alone, so that the noise on a whole record is the noise on its
    cached segments, and no two records share theirs.

    Args:
        samples: length of the record.
        sigma: standard deviation in mV.
        seed: seed of the study.
        record: name of the record.
        lead: name of the lead.
    """
    rng = np.random.default_rng([seed, zlib.crc32(record.encode()), zlib.crc32(lead.encode())])
    return rng.standard_normal(samples, dtype=np.float32) * np.float32(sigma)


MIX = "mix"
"""All three kinds in equal power."""

TRAINING, VALIDATION, TEST = "training", "validation", "test"

_EM_TEST_MINUTES = tuple((start, start + 2) for start in range(5, 31, 4))
"""Minutes of ``em`` that the noise stress records hold, sample for sample at the same place: ``nst`` lets five minutes
pass and adds noise in every other two."""

_HALF = 0.5
"""Of ``bw`` and ``ma`` the second half is for tests."""

_VALIDATION_SHARE = 0.2
"""Of what is not for tests, this share at the end is for validation."""

_STRETCH = 1.25
"""Noise that is varied is made longer or shorter by up to this factor."""

STRESS_CHANNEL = 0
"""Of ``em``; ``nst`` pairs the first lead with the first channel of the noise."""


@dataclass(frozen=True)
class NoiseBank:
    """Noise of one part, to draw from.

    Attributes:
        stretches: kind → float32 arrays of shape ``(samples, channels)``, in mV.
    """

    stretches: dict[str, list[np.ndarray]]

    def draw(
        self, kind: str, segments: int, samples: int, rng: np.random.Generator, varied: bool = False
    ) -> np.ndarray:
        """Stretches of noise, each from a random place and channel, of mean 0 and power 1.

        Args:
            kind: one of `NOISE_RECORDS`, or `MIX`.
            segments: how many.
            samples: length of each.
            rng: decides places and channels.
            varied: whether they are turned upside down, reversed, stretched in time and mixed of both channels as
                well, at random: a quarter of an hour of a noise is soon known by heart.

        Returns:
            float32 array of shape ``(segments, samples)``.

        Raises:
            ValueError: no stretch is as long as that.
        """
        if kind == MIX:
            each = [self.draw(name, segments, samples, rng, varied) for name in NOISE_RECORDS]
            return _unit_power(np.sum(each, axis=0))
        if varied:
            return _unit_power(self._vary(kind, segments, samples, rng))
        places = self._places(kind, segments, samples, rng)
        channels = rng.integers(0, self.stretches[kind][0].shape[1], segments)
        drawn = np.empty((segments, samples), np.float32)
        for row, ((stretch, start), channel) in enumerate(zip(places, channels.tolist(), strict=True)):
            drawn[row] = stretch[start : start + samples, channel]
        return _unit_power(drawn)

    def with_all_of(self, other: NoiseBank) -> NoiseBank:
        """The noise of both."""
        return NoiseBank({kind: [*stretches, *other.stretches[kind]] for kind, stretches in self.stretches.items()})

    def _vary(self, kind: str, segments: int, samples: int, rng: np.random.Generator) -> np.ndarray:
        spread = np.log(_STRETCH)
        scales = np.where(rng.random(segments) < _HALF, np.exp(rng.uniform(-spread, spread, segments)), 1.0)
        backwards = rng.random(segments) < _HALF
        # At a multiple of a quarter turn it is one of the channels, either way up.
        quarters, turns = rng.integers(0, 4, segments) / 4, rng.random(segments)
        angles = 2 * np.pi * np.where(rng.random(segments) < _HALF, quarters, turns)
        longest = int(np.ceil(_STRETCH * samples)) + 1
        drawn = np.empty((segments, samples), np.float32)
        for row, (stretch, start) in enumerate(self._places(kind, segments, longest, rng)):
            cut = stretch[start : start + longest]
            mixed = np.cos(angles[row]) * cut[:, 0] + np.sin(angles[row]) * cut[:, -1]
            at = scales[row] * np.arange(samples)
            drawn[row] = mixed[:samples] if scales[row] == 1 else np.interp(at, np.arange(longest), mixed)
        drawn[backwards] = drawn[backwards, ::-1]
        return drawn

    def _places(self, kind: str, segments: int, samples: int, rng: np.random.Generator) -> list[tuple[np.ndarray, int]]:
        """Random stretches with a start in each, from which it holds so many samples."""
        long = [stretch for stretch in self.stretches[kind] if len(stretch) >= samples]
        if not long:
            raise ValueError(f"no stretch of {kind} holds {samples} samples")
        ends = np.cumsum([len(stretch) - samples + 1 for stretch in long])
        found = []
        for place in rng.integers(0, ends[-1], segments).tolist():
            number = int(np.searchsorted(ends, place, side="right"))
            found.append((long[number], place - (int(ends[number - 1]) if number else 0)))
        return found


@dataclass(frozen=True)
class NoiseRecords:
    """The three noise records.

    Attributes:
        directory: the folder of the database.
        fs: sampling rate in Hz.
        signals: ``bw``, ``em`` and ``ma``: float32 arrays of shape ``(samples, 2)``, in mV.
        checksums: SHA-256 of their files.
    """

    directory: Path
    fs: float
    signals: dict[str, np.ndarray]
    checksums: dict[str, str]

    def stretches(self, kind: str, part: str) -> list[tuple[int, int]]:
        """Stretches ``(start, end)`` in samples, end excluded, of one noise for one part; no two parts overlap."""
        samples = len(self.signals[kind])
        if kind == "em":
            test = [(round(start * 60 * self.fs), round(end * 60 * self.fs)) for start, end in _EM_TEST_MINUTES]
        else:
            test = [(round(_HALF * samples), samples)]
        test = [(start, min(end, samples)) for start, end in test if start < samples]
        if part == TEST:
            return test
        borders = [0, *(border for stretch in test for border in stretch), samples]
        learned = [(a, b) for a, b in zip(borders[::2], borders[1::2], strict=True) if b > a]
        first = round((1 - _VALIDATION_SHARE) * sum(end - start for start, end in learned))
        return _first(learned, first) if part == TRAINING else _but_first(learned, first)

    def bank(self, part: str, fs: float) -> NoiseBank:
        """The noise of one part, brought to a sampling rate in Hz."""
        return NoiseBank(
            {
                kind: [
                    signal[start:end] if fs == self.fs else resample(signal[start:end], self.fs, fs)
                    for start, end in self.stretches(kind, part)
                ]
                for kind, signal in self.signals.items()
            }
        )


def _first(stretches: list[tuple[int, int]], samples: int) -> list[tuple[int, int]]:
    """The first so many samples of stretches."""
    kept = []
    for start, end in stretches:
        if samples > 0:
            kept.append((start, min(end, start + samples)))
        samples -= end - start
    return kept


def _but_first(stretches: list[tuple[int, int]], samples: int) -> list[tuple[int, int]]:
    """What is left of stretches without the first so many samples."""
    kept = []
    for start, end in stretches:
        if end - start > samples:
            kept.append((start + max(0, samples), end))
        samples -= end - start
    return kept


def write_banks(path: Path, banks: Mapping[str, NoiseBank]) -> None:
    """Write the noise of several parts as an ``.npz`` file."""
    arrays = {
        f"{part}.{kind}.{number}": stretch
        for part, bank in banks.items()
        for kind, stretches in bank.stretches.items()
        for number, stretch in enumerate(stretches)
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stubs take an array's name for an option


def read_banks(path: Path) -> dict[str, NoiseBank]:
    """Read what `write_banks` wrote."""
    banks: dict[str, NoiseBank] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            part, kind, _ = name.split(".")
            banks.setdefault(part, NoiseBank({})).stretches.setdefault(kind, []).append(arrays[name])
    return banks


def find_noise_directory(
    database: Database,
    *,
    noise_dir: Path | str | None = None,
    raw_dir: Path | str | None = None,
    data_dir: Path | str = "data",
    progress: Progress | None = None,
    required: bool = False,
) -> Path | None:
    """Return the folder with the noise records, and download them if the database was downloaded too.

    Args:
        database: records of the study.
        noise_dir: folder with the noise records, if you have them.
        raw_dir: folder that ``database`` was read from; ``None`` if it was generated or downloaded.
        data_dir: parent folder of ``raw/``, where downloads are kept.
        progress: called with the number of downloaded files.
        required: whether to download the records for any database.

    Returns:
        ``None`` if no folder was given and nothing is to be downloaded.

    Raises:
        SettingsError: ``noise_dir`` is not a folder.
        DataError: the download failed.
    """
    if noise_dir:
        if not Path(noise_dir).is_dir():
            raise SettingsError("noise_dir", f"{noise_dir} is not a folder", value=noise_dir)
        return Path(noise_dir)
    if not required and (database.name != "mitdb" or raw_dir):
        return None
    directory = Path(data_dir) / "raw" / NSTDB.name
    if not directory.is_dir():
        said: Callable[[int, int], None] | None = None
        if progress is not None:
            told = progress

            def said(done: int, total: int) -> None:
                told("Downloading nstdb", done, total)

        download(NSTDB, directory, said)
    return directory


def open_noise(directory: Path) -> NoiseRecords:
    """Read ``bw``, ``em`` and ``ma``, each checked against the list of checksums beside them where there is one.

    Raises:
        StudyError: a record is missing, damaged, or of another sampling rate than the others.
    """
    try:
        published = read_checksums(directory / CHECKSUMS)
    except ValueError as error:
        raise EcgStudyError(
            f"{directory / CHECKSUMS}: is no list of SHA-256 and file names; mend or remove it"
        ) from error
    signals: dict[str, np.ndarray] = {}
    rates: dict[str, float] = {}
    checksums: dict[str, str] = {}
    for name in NOISE_RECORDS:
        checksums |= checked_files(directory / name, None, published)
        record = read_record(directory / name, ALL_LEADS, annotator=None)
        signals[name], rates[name] = record.signal, record.fs
    if len(set(rates.values())) > 1:
        raise EcgStudyError(f"{directory}: the noise records have different sampling rates")
    noise = NoiseRecords(directory, rates[NOISE_RECORDS[0]], signals, checksums)
    for name in NOISE_RECORDS:
        if not all(noise.stretches(name, part) for part in (TRAINING, VALIDATION, TEST)):
            raise RecordError(directory / name, "is too short to give noise to training, validation and tests")
    return noise


def draw_noise(noise: NoiseRecords, kind: str, part: str, segments: int, samples: int, seed: list[int]) -> np.ndarray:
    """Stretches of noise, each from a random place and channel, of mean 0 and power 1.

    Args:
        noise: the noise records.
        kind: one of `NOISE_RECORDS`, or `MIX`.
        part: `TRAINING`, `VALIDATION` or `TEST`.
        segments: how many.
        samples: length of each.
        seed: the same seed draws the same.

    Returns:
        float32 array of shape ``(segments, samples)``.

    Raises:
        ValueError: no stretch is as long as that.
    """
    if kind == MIX:
        parts = [draw_noise(noise, name, part, segments, samples, [*seed, i]) for i, name in enumerate(NOISE_RECORDS)]
        return _unit_power(np.sum(parts, axis=0))
    return noise.bank(part, noise.fs).draw(kind, segments, samples, np.random.default_rng(seed))


def _unit_power(noise: np.ndarray) -> np.ndarray:
    centred = noise - noise.mean(axis=-1, keepdims=True, dtype=np.float64)
    power = np.mean(centred**2, axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt(np.maximum(power, 1e-12)), dtype=np.float32)


def scale_to_snr(clean: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Noise of power 1 scaled so that the clean signal stands at this SNR above it, segment by segment.

    Args:
        clean: mV, shape ``(segments, samples)``; its power is taken around its mean.
        noise: power 1, the same shape.
        snr: in dB.

    Returns:
        mV, the same shape.
    """
    return scale_to_power(noise, np.var(clean, axis=-1, keepdims=True, dtype=np.float64) * 10 ** (-snr / 10))


def scale_to_power(noise: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Noise of power 1 scaled to a power in mV², segment by segment; float32."""
    return np.asarray(noise * np.sqrt(power), dtype=np.float32)

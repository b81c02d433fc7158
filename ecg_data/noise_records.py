"""Records of the MIT-BIH Noise Stress Test Database, divided among the parts of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.catalog import Database, checked_files, published_checksums
from ecg_study.ecg_data.databases.physionet import NOISE_RECORDS, NSTDB, download
from ecg_study.ecg_data.databases.splits import PARTS, TEST, TRAIN, VALIDATION, Part
from ecg_study.ecg_data.noise import GAUSSIAN, MIX, NoiseSource, NoiseType, unit_gaussian_noise, unit_power
from ecg_study.ecg_data.readers.recording import ALL_LEADS
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.ecg_data.resampling import resample
from ecg_study.errors import DataError, RecordError, SettingsError
from ecg_study.progress import Progress
from ecg_study.reading import read_npz

STRESS_CHANNEL = 0
"""Channel of ``em`` in the noise stress test: ``nst`` pairs the first lead with the first channel of the noise."""

_EM_TEST_MINUTES = tuple((start, start + 2) for start in range(5, 31, 4))
"""Minutes of ``em`` that the noise stress records contain, at the same times: ``nst`` skips five minutes, then adds
noise in every other two minutes."""

_TEST_SHARE = 0.5  # the second half of ``bw`` and ``ma`` is for tests

_VALIDATION_SHARE = 0.2  # at the end of what is not for tests

# Part of a stored noise source → our name.
_STORED_PARTS: dict[str, Part] = {"training": TRAIN, "validation": VALIDATION}


@dataclass(frozen=True)
class NoiseRecords:
    """Noise records ``bw``, ``em`` and ``ma``.

    Attributes:
        directory: folder of the database.
        fs: sampling rate in Hz.
        signals: record name → float32 array of shape ``(samples, 2)``, in mV.
        checksums: file name → SHA-256.
    """

    directory: Path
    fs: float
    signals: dict[str, np.ndarray]
    checksums: dict[str, str]

    def intervals(self, record: str, part: Part) -> list[tuple[int, int]]:
        """Return the intervals ``(start, end)`` in samples, end excluded, of one record that belong to a part.

        No sample belongs to two parts.
        """
        samples = len(self.signals[record])
        if record == "em":
            test = [(round(start * 60 * self.fs), round(end * 60 * self.fs)) for start, end in _EM_TEST_MINUTES]
        else:
            test = [(round(_TEST_SHARE * samples), samples)]
        test = [(start, min(end, samples)) for start, end in test if start < samples]
        if part == TEST:
            return test
        borders = [0, *(border for interval in test for border in interval), samples]
        other = [(a, b) for a, b in zip(borders[::2], borders[1::2], strict=True) if b > a]
        first = round((1 - _VALIDATION_SHARE) * sum(end - start for start, end in other))
        return _first(other, first) if part == TRAIN else _but_first(other, first)

    def source(self, part: Part, *, fs: float) -> NoiseSource:
        """Return the noise of one part, resampled to ``fs`` in Hz."""
        return NoiseSource(
            {
                record: [
                    signal[start:end] if fs == self.fs else resample(signal[start:end], fs=self.fs, target_fs=fs)
                    for start, end in self.intervals(record, part)
                ]
                for record, signal in self.signals.items()
            }
        )

    def draw(self, noise_type: NoiseType, part: Part, *, count: int, samples: int, seed: Sequence[int]) -> np.ndarray:
        """Draw noise of mean 0 and power 1 at the rate of the records; the same seed draws the same noise.

        Args:
            noise_type: any type; Gaussian noise does not depend on the part.
            part: part of the study.
            count: number of excerpts.
            samples: length of each excerpt.
            seed: seed of the random numbers.

        Returns:
            float32 array of shape ``(count, samples)``.

        Raises:
            ValueError: every interval of the part is shorter than an excerpt.
        """
        if noise_type == GAUSSIAN:
            return unit_gaussian_noise((count, samples), np.random.default_rng(seed))
        if noise_type == MIX:
            each = [
                self.draw(record, part, count=count, samples=samples, seed=[*seed, number])
                for number, record in enumerate(NOISE_RECORDS)
            ]
            return unit_power(np.sum(each, axis=0))
        rng = np.random.default_rng(seed)
        return self.source(part, fs=self.fs).draw(noise_type, count=count, samples=samples, rng=rng)


def _first(intervals: list[tuple[int, int]], samples: int) -> list[tuple[int, int]]:
    """Return the part of intervals with their first ``samples`` samples."""
    kept = []
    for start, end in intervals:
        if samples > 0:
            kept.append((start, min(end, start + samples)))
        samples -= end - start
    return kept


def _but_first(intervals: list[tuple[int, int]], samples: int) -> list[tuple[int, int]]:
    """Return the part of intervals without their first ``samples`` samples."""
    kept = []
    for start, end in intervals:
        if end - start > samples:
            kept.append((start + max(0, samples), end))
        samples -= end - start
    return kept


def write_noise_sources(path: Path, sources: Mapping[Part, NoiseSource]) -> None:
    """Write the noise of several parts as an ``.npz`` file."""
    stored = {part: name for name, part in _STORED_PARTS.items()}
    arrays = {
        f"{stored[part]}.{record}.{number}": recording
        for part, source in sources.items()
        for record, recordings in source.recordings.items()
        for number, recording in enumerate(recordings)
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stubs take an array's name for an option


def read_noise_sources(path: Path) -> dict[Part, NoiseSource]:
    """Read a file of `write_noise_sources`.

    Raises:
        ValueError, KeyError: the file is damaged.
    """
    sources: dict[Part, NoiseSource] = {}
    for name, recording in read_npz(path).items():
        part, record, _ = name.split(".")
        source = sources.setdefault(_STORED_PARTS[part], NoiseSource({}))
        source.recordings.setdefault(record, []).append(recording)
    return sources


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
        download(NSTDB, directory, progress=progress)
    return directory


def open_noise_records(directory: Path | str) -> NoiseRecords:
    """Read ``bw``, ``em`` and ``ma``, and check them against ``SHA256SUMS.txt`` if the folder has one.

    Raises:
        RecordError: a record is missing, damaged or too short.
        DataError: the list of checksums is damaged, or the records have different sampling rates.
    """
    directory = Path(directory)
    published = published_checksums(directory)
    signals: dict[str, np.ndarray] = {}
    rates: dict[str, float] = {}
    checksums: dict[str, str] = {}
    for name in NOISE_RECORDS:
        checksums |= checked_files(directory / name, annotator=None, published=published)
        record = read_record(directory / name, lead=ALL_LEADS, annotator=None)
        signals[name], rates[name] = record.signal, record.fs
    if len(set(rates.values())) > 1:
        raise DataError(f"{directory}: the noise records have different sampling rates")
    noise = NoiseRecords(directory, rates[NOISE_RECORDS[0]], signals, checksums)
    for name in NOISE_RECORDS:
        if not all(noise.intervals(name, part) for part in PARTS):
            raise RecordError(directory / name, "too short to provide noise for training, validation and tests")
    return noise

"""Settings of segments, and the layout of their cache on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ecg_study.errors import SettingsError

CACHE_FORMAT = 1
"""Increase it whenever the same input would give other arrays."""

WANDER_REMOVED_FORMAT = 2
"""Likewise for the additional array of a cache for augmentation. In format 1 the high-pass had order 4."""

ALIGNED_FORMAT = 1
"""Likewise for caches with marks that are moved to the R peaks."""

ARRAYS: dict[str, np.dtype[Any]] = {
    "noisy": np.dtype("<f4"),
    "clean": np.dtype("<f4"),
    "r_peaks": np.dtype("u1"),
}

WANDER_REMOVED = "wander_removed"
"""Additional array of a cache for augmentation."""

NOISE_FILE = "noise.npz"

# Stored names that differ from ours: keys of manifests, and stems of array files.
_STORED_KEYS = {"excluded_segments": "unscored", "training_only": "extra"}
_STORED_SETTINGS = {
    "segment_samples": "segment",
    "window_samples": "window",
    "noise_sigma_mv": "sigma",
    "skip_invalid": "skip_bad",
}
_STORED_ARRAYS = {WANDER_REMOVED: "steady"}


@dataclass(frozen=True)
class SegmentSettings:
    """Settings that, together with the raw files, determine the content of a cache.

    Attributes:
        segment_samples: length of a segment.
        window_samples: length of a window; a segment holds a whole number of windows.
        noise_sigma_mv: standard deviation of the Gaussian noise in mV.
        seed: seed of the noise.
        lead: name of a lead, ``"auto"`` (MLII if present, else the first) or ``"all"``.
        skip_invalid: whether to exclude records that cannot be used; otherwise they are an error.
        fs: target sampling rate in Hz; ``None`` keeps the rate of the records.
        augmented: whether the cache also holds what augmentation needs: the other leads of each record, the clean
            signal without baseline wander, and recorded noise for training and validation.
        aligned: whether marks that lie off the R peaks are moved to them; see `read_database_record`.

    Raises:
        SettingsError: a value is out of range.
    """

    segment_samples: int = 2016
    window_samples: int = 144
    noise_sigma_mv: float = 0.05
    seed: int = 1
    lead: str = "auto"
    skip_invalid: bool = False
    fs: float | None = None
    augmented: bool = False
    aligned: bool = False

    def as_mapping(self) -> dict[str, Any]:
        """Return the settings as JSON, under the keys that cache keys, manifests and search states have.

        ``fs``, ``augmented`` and ``aligned`` are newer than these keys, so their defaults are left out.
        """
        stored = {_STORED_SETTINGS.get(name, name): value for name, value in asdict(self).items()}
        absent = {"fs": None, "augmented": False, "aligned": False}
        return {name: value for name, value in stored.items() if absent.get(name, self) != value}

    @property
    def arrays(self) -> dict[str, np.dtype[Any]]:
        """Name → data type of the arrays in the cache."""
        return ARRAYS | ({WANDER_REMOVED: np.dtype("<f4")} if self.augmented else {})

    def __post_init__(self) -> None:
        """Check the values."""
        if self.window_samples < 1:
            raise SettingsError("window_samples", f"{self.window_samples} is not positive", value=self.window_samples)
        if self.segment_samples < self.window_samples or self.segment_samples % self.window_samples:
            nearest = max(1, round(self.segment_samples / self.window_samples)) * self.window_samples
            problem = f"{self.segment_samples} is not a multiple of window_samples ({self.window_samples})"
            problem += f"; use {nearest}"
            raise SettingsError("segment_samples", problem, value=self.segment_samples, parameters=("window_samples",))
        if not 0 <= self.noise_sigma_mv < 10:
            problem = f"{self.noise_sigma_mv} mV is out of range; use a standard deviation from 0 to 10 mV"
            raise SettingsError("noise_sigma_mv", problem, value=self.noise_sigma_mv)


@dataclass(frozen=True)
class CachedLead:
    """One lead of one record in the cache: its segments are the rows ``first`` to ``last``, excluded, of the arrays.

    Attributes:
        record: name of the record.
        lead: name of the lead.
        samples: length of the lead.
        first: index of its first row.
        last: index after its last row.
        excluded_segments: number of segments dropped because they touch an excluded interval.
        training_only: whether only augmented training uses this lead; the settings do not select it.
    """

    record: str
    lead: str
    samples: int
    first: int
    last: int
    excluded_segments: int
    training_only: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the entry under the keys of a manifest."""
        return {_STORED_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> CachedLead:
        """Read an entry of a manifest.

        Raises:
            TypeError: a key is missing or unknown.
        """
        names = {key: name for name, key in _STORED_KEYS.items()}
        return cls(**{names.get(key, key): value for key, value in stored.items()})


def array_file(name: str) -> str:
    """Return the file name of one of `SegmentSettings.arrays`."""
    return f"{_STORED_ARRAYS.get(name, name)}.npy"

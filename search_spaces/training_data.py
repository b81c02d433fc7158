"""Hyperparameters of the training data: strength of augmentation, level of the noise, balance of the databases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from ecg_study.ecg_data.segments.augmentation.settings import Augmentation

Strength = Literal["clean", "ambulatory", "wearable"]
CLEAN: Strength = "clean"

STRENGTHS: Mapping[Strength, Mapping[str, float]] = MappingProxyType(
    {
        CLEAN: MappingProxyType({}),
        "ambulatory": MappingProxyType(
            {
                "max_time_stretch": 0.2,
                "band_limit_probability": 0.3,
                "beat_change_probability": 0.2,
                "artifact_probability": 0.15,
                "noise_only_probability": 0.01,
            }
        ),
        "wearable": MappingProxyType(
            {
                "max_time_stretch": 0.3,
                "band_limit_probability": 0.6,
                "beat_change_probability": 0.4,
                "artifact_probability": 0.35,
                "noise_only_probability": 0.03,
            }
        ),
    }
)
"""Strength of augmentation → values that replace those of a preset: as it is for recordings of an electrocardiograph;
for Holter recorders; and for dry electrodes, patches and watches."""


@dataclass(frozen=True)
class TrainingData:
    """Hyperparameters of the training data. The defaults change nothing.

    Attributes:
        augmentation: one of `STRENGTHS`.
        snr_shift_db: is added to both ends of the range of the SNR.
        database_balance: 0 shows each segment equally often, 1 each of several databases. In between, the share of a
            database is proportional to its number of segments to the power of 1 less this value.
    """

    augmentation: Strength = CLEAN
    snr_shift_db: float = 0.0
    database_balance: float = 0.0

    @classmethod
    def of(cls, hyperparameters: Mapping[str, Any]) -> TrainingData:
        """Return those of a configuration, with the default of each that is missing."""
        return cls(**{name: hyperparameters[name] for name in cls.__dataclass_fields__ if name in hyperparameters})

    def applied_to(self, augmentation: Augmentation) -> Augmentation:
        """Return the augmentation of a preset with this strength and noise."""
        low, high = augmentation.snr_range_db
        changed = replace(augmentation, snr_range_db=(low + self.snr_shift_db, high + self.snr_shift_db))
        return replace(changed, **STRENGTHS[self.augmentation])  # type: ignore[arg-type]

    def shares(
        self, segments: Mapping[str, int], *, fixed: Mapping[str, float] = MappingProxyType({})
    ) -> dict[str, float]:
        """Return the share of each database.

        Args:
            segments: number of segments of each database, none of which is 0.
            fixed: shares that are given; the others have the rest, or all in proportion if none is left.
        """
        given = {name: share for name, share in fixed.items() if name in segments}
        weights = {name: count ** (1 - self.database_balance) for name, count in segments.items() if name not in given}
        rest = (1 - sum(given.values())) / sum(weights.values()) if weights else 0.0
        shares = given | {name: rest * weight for name, weight in weights.items()}
        return {name: shares[name] / sum(shares.values()) for name in segments}


def choose_training_data(hp: Any, ranges: Any) -> TrainingData:
    """Declare the hyperparameters of the training data that have other values than the default, and return all values.

    Args:
        hp: ``HyperParameters`` of Keras Tuner.
        ranges: `HyperparameterRanges`.
    """
    default = TrainingData()
    given = {name: getattr(ranges, name) for name in TrainingData.__dataclass_fields__}
    chosen = {
        name: hp.Choice(name, list(values)) for name, values in given.items() if set(values) != {getattr(default, name)}
    }
    return replace(default, **chosen)

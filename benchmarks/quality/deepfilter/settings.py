"""Settings of a training of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from benchmarks.quality.deepfilter.augmentation import BeatAugmentation
from ecg_study.errors import SettingsError

LOSSES = ("measures", "mixture", "squared")


@dataclass(frozen=True)
class ModelSettings:
    """Network, loss and optimizer.

    Attributes:
        units: units of each bidirectional LSTM layer per direction.
        frame: samples that the first layer reads per step, of each of its two inputs.
        dropout: share of a layer's outputs that is set to 0 in training.
        loss: one of `LOSSES`.
        learning_rate: highest learning rate.
        weight_decay: decoupled weight decay; 0 for none.
        weight_average: momentum of the moving average of the weights; 0 for none.
        batch_size: beats per step.
    """

    units: tuple[int, ...] = (76, 76)
    frame: int = 8
    dropout: float = 0.0
    loss: str = "measures"
    learning_rate: float = 4e-3
    weight_decay: float = 1e-3
    weight_average: float = 0.998
    batch_size: int = 128

    def __post_init__(self) -> None:
        """Check what the layers do not check.

        Raises:
            SettingsError: a value is out of range.
        """
        if self.loss not in LOSSES:
            raise SettingsError("loss", f"{self.loss!r} is not one of {', '.join(LOSSES)}", value=self.loss)
        if not 0 <= self.dropout < 1 or not 0 <= self.weight_average < 1:
            raise SettingsError("dropout", "dropout and weight_average must be at least 0 and below 1")
        if min(self.batch_size, *self.units) < 1 or 512 % self.frame:
            raise SettingsError("units", "batch_size and units must be positive, and 512 a multiple of frame")


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that determines the trained weights but data, version and budget.

    Attributes:
        model: network, loss and optimizer.
        augmentation: variations of beats and noise.
        refit: train on the validation records too, after all choices have been made; nothing is validated.
        seed: seed of weights, order and noise.
    """

    model: ModelSettings = field(default_factory=ModelSettings)
    augmentation: BeatAugmentation = field(default_factory=BeatAugmentation)
    refit: bool = False
    seed: int = 1

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON."""
        return asdict(self)


def vary(settings: TrainingSettings, values: Mapping[str, Any]) -> TrainingSettings:
    """Return settings with other values of the model and of the augmentation, by name.

    Raises:
        SettingsError: a name is unknown, or a value has the wrong type or is out of range.
    """
    for name, value in values.items():
        value = tuple(value) if isinstance(value, list) else value
        for group in ("model", "augmentation"):
            part = getattr(settings, group)
            if name in {item.name for item in fields(part)}:
                _check_type(name, getattr(part, name), value)
                settings = replace(settings, **{group: replace(part, **{name: value})})
                break
        else:
            known = [item.name for group in (ModelSettings, BeatAugmentation) for item in fields(group)]
            raise SettingsError("set", f"{name!r} is unknown; choose from {', '.join(known)}", value=name)
    return settings


def _check_type(name: str, default: Any, value: Any) -> None:
    """Raise an error if a value cannot stand where the default stands; a whole number is a fraction too."""
    kinds = (float, int) if isinstance(default, float) else (type(default),)
    right = isinstance(value, kinds) and (isinstance(default, bool) or not isinstance(value, bool))
    if isinstance(default, tuple):
        right = right and bool(value) and all(type(item) is int for item in value)
    if not right:
        raise SettingsError(name, f"{value!r} has the wrong type; the default is {default!r}", value=value)

"""Facts about hyperparameters: scale, limits, and the value that stands for their absence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

LEARNING_RATE = "learning_rate"


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """Facts about one hyperparameter.

    Attributes:
        name: its name in Keras Tuner, searches and model cards. Stored: never change it.
        scale: ``"log"`` if equal ratios matter equally.
        minimum: lowest possible value; ``None`` if there is none or it is not a number.
        maximum: highest possible value, likewise.
        above: values must be higher than this.
        below: values must be lower than this.
        absent_value: the value that builds the same model as a space without this hyperparameter; ``None`` if every
            space has it, or if it exists only with another one, as units of the second layer do.
        network: it changes the network; else it changes only how the network is trained.
    """

    name: str
    scale: Literal["linear", "log"] = "linear"
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    absent_value: int | bool | str | None = None
    network: bool = True


_UNITS = Hyperparameter(name="units", minimum=1)
_UNITS_OF_LAYER = re.compile(r"units_\d+")

HYPERPARAMETERS: Mapping[str, Hyperparameter] = MappingProxyType(
    {
        facts.name: facts
        for facts in (
            Hyperparameter(name="layers", minimum=1),
            _UNITS,
            Hyperparameter(name="dropout", minimum=0, below=1, network=False),
            Hyperparameter(name="frame", minimum=1),
            Hyperparameter(name="direction"),
            Hyperparameter(name=LEARNING_RATE, scale="log", above=0, network=False),
            Hyperparameter(name="residual"),
            Hyperparameter(name="gate", absent_value=False),
            Hyperparameter(name="loss_power", minimum=0, maximum=1, absent_value=0, network=False),
            Hyperparameter(name="dense_units", minimum=0),
            Hyperparameter(name="filters", minimum=0, absent_value=0),
            Hyperparameter(name="augmentation", absent_value="clean", network=False),
            Hyperparameter(name="snr_shift_db", absent_value=0, network=False),
            Hyperparameter(name="database_balance", minimum=0, maximum=1, absent_value=0, network=False),
        )
    }
)
"""The hyperparameters of both spaces; ``units`` stands for those of every layer."""


def hyperparameter(name: str) -> Hyperparameter:
    """Return the facts about a hyperparameter; one that is not known has a linear scale and no limits."""
    if _UNITS_OF_LAYER.fullmatch(name):
        return replace(_UNITS, name=name)
    return HYPERPARAMETERS.get(name, Hyperparameter(name=name))


def optional_hyperparameters() -> dict[str, int | str]:
    """Return the hyperparameters that only some spaces have, with the value that stands for their absence."""
    return {facts.name: facts.absent_value for facts in HYPERPARAMETERS.values() if facts.absent_value is not None}


def network_of(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that determines the network, without what stands for an absent part."""
    optional = optional_hyperparameters()
    return {
        name: value
        for name, value in configuration.items()
        if hyperparameter(name).network and not (name in optional and value == optional[name])
    }

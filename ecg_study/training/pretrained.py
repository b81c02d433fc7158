"""A trained model whose weights trials and final trainings of the same network start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.search_spaces.hyperparameters import network_of
from ecg_study.training.weights import copy_variables, pack_weights

if TYPE_CHECKING:
    from ecg_study.training.task import TrainingTask


@dataclass(frozen=True)
class Pretrained:
    """A model that trainings may start from.

    Attributes:
        name: name of its folder.
        sha256: hash of its Keras file.
        hyperparameters: its configuration.
        weights: its weights, in the order of `keras.Model.get_weights`.
        lineage: entry of the card of a model that started from it.
    """

    name: str
    sha256: str
    hyperparameters: Mapping[str, Any]
    weights: tuple[np.ndarray, ...]
    lineage: Mapping[str, Any]

    def has_network_of(self, hyperparameters: Mapping[str, Any]) -> bool:
        """Return whether a configuration has the network of this model; how it is trained may differ."""
        return network_of(self.hyperparameters) == network_of(hyperparameters)


def start_of(task: TrainingTask, hyperparameters: Mapping[str, Any]) -> Pretrained | None:
    """Return the model that a training of a configuration starts from; ``None`` for random weights."""
    found = task.pretrained
    return found if found is not None and found.has_network_of(hyperparameters) else None


def first_weights(task: TrainingTask, hyperparameters: dict[str, Any]) -> bytes | None:
    """Return the packed weights that a training of a configuration starts from; ``None`` for random ones."""
    found = start_of(task, hyperparameters)
    if found is None:
        return None
    model = task.build(hyperparameters)
    model.set_weights(list(found.weights))
    return pack_weights(copy_variables(model))

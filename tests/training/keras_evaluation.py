"""Validation by `keras.Model.evaluate`, as a reference."""

from __future__ import annotations

from typing import Any

from ecg_study.ecg_data.segments.batches import Batch
from ecg_study.ecg_data.segments.stream import ValidationBatches


def evaluate(model: Any, batches: ValidationBatches) -> dict[str, float]:
    """Return the loss and the metrics that `keras.Model.evaluate` returns."""
    import keras

    class Dataset(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> Batch:
            return batches[index]

    return {name: float(value) for name, value in model.evaluate(Dataset(), verbose=0, return_dict=True).items()}

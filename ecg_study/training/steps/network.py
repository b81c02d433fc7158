"""A model in the forms in which it is trained and validated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ecg_study.ecg_data.segments.batches import Batch
from ecg_study.training.weights import assign_variables, copy_variables

if TYPE_CHECKING:
    import keras


_PREDICTED = 128  # segments at once


class Network:
    """A compiled model with its trained form, which has the same variables.

    Args:
        model: the model as it was built; it keeps its metrics and is saved.
        compiled_layers: compute recurrent layers by compiled code, where it can replace those of Keras.

    Attributes:
        model: that model.
    """

    def __init__(self, model: keras.Model, *, compiled_layers: bool = True) -> None:
        self.model = model
        self._trained = _trained_form(model, compiled_layers=compiled_layers)

    def train(self, batch: Batch) -> float:
        """Train on a batch and return its mean loss before the step."""
        return float(self._trained.train_on_batch(*batch, return_dict=True)["loss"])

    def validate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Return the validation loss and the metrics of the present weights.

        They are those of `keras.Model.evaluate`, which would use the layers of Keras and wait for its data.
        """
        from keras import ops

        self.model.reset_metrics()
        found: dict[str, Any] = {}
        total, segments = 0.0, 0
        for inputs, targets in batches:
            outputs = self._trained.predict_on_batch(inputs)
            expected, outputs = ops.convert_to_tensor(targets, "float32"), ops.convert_to_tensor(outputs)
            # Keras passes the inputs too, of which no loss or metric needs any.
            found = self.model.compute_metrics(None, expected, outputs)
            total += len(inputs) * float(self.model.compute_loss(None, expected, outputs, training=False))
            segments += len(inputs)
        return {name: float(value) for name, value in found.items()} | {"loss": total / max(segments, 1)}

    def predict(self, segments: np.ndarray) -> np.ndarray:
        """Return the outputs for segments, both of shape ``(segments, samples, 1)``."""
        starts = range(0, len(segments), _PREDICTED)
        parts = [np.asarray(self._trained.predict_on_batch(segments[start : start + _PREDICTED])) for start in starts]
        return np.concatenate(parts) if parts else np.empty_like(segments, np.float32)

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the next steps."""
        self.model.optimizer.learning_rate.assign(rate)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the optimizer."""
        return float(self.model.optimizer.learning_rate)

    @property
    def averages(self) -> bool:
        """True if the optimizer keeps an average of the weights."""
        return bool(self.model.optimizer.use_ema)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Give the model the averaged weights during the block."""
        weights = self.model.get_weights()
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        try:
            yield
        finally:
            self.model.set_weights(weights)

    def variables(self) -> list[np.ndarray]:
        """Return copies of all variables: weights, states of random generators, and those of the optimizer."""
        return copy_variables(self.model)

    def restore(self, values: list[np.ndarray]) -> None:
        """Set all variables.

        Raises:
            ValueError: they do not fit this model.
        """
        assign_variables(self.model, values)


def _trained_form(model: keras.Model, *, compiled_layers: bool) -> keras.Model:
    """Return a model with the same variables, optimizer and loss. A metric of windows would cost time in each step."""
    import keras

    from ecg_study.training.recurrent.acceleration import accelerate

    trained = accelerate(model) if compiled_layers else model
    if trained is model:
        trained = keras.Model(model.input, model.output, name=model.name)
    trained.compile(optimizer=model.optimizer, loss=model.loss, jit_compile=model.jit_compile)
    return trained

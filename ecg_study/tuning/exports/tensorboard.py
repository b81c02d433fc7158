"""TensorBoard logs of a search: one run per trial, with its curves and configuration."""

from __future__ import annotations

import time
from pathlib import Path

from ecg_study.errors import SettingsError
from ecg_study.training.specs import Trial


class TensorBoardLogs:
    """Writer of one TensorBoard run per trial.

    A trial is written when it has ended, so that a trial that ran twice appears once, as it was scored.
    """

    def __init__(self, directory: Path) -> None:
        """Check that TensorBoard is installed.

        Args:
            directory: the folder that TensorBoard opens as its log directory.

        Raises:
            SettingsError: the package ``tensorboard`` is not installed.
        """
        try:
            import tensorboard.plugins.hparams.api  # noqa: F401
        except ImportError as error:
            raise SettingsError(
                "tensorboard", "the package tensorboard is missing; install it with 'pip install tensorboard'"
            ) from error
        self.directory = directory

    def write(self, trial: Trial) -> None:
        """Write one trial: its configuration for the page HParams, its metrics for the page Time Series."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.hparams.api import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        writer = EventFileWriter(str(self.directory / trial.spec.id))
        try:
            configuration = hparams_pb(trial.spec.hyperparameters, trial_id=trial.spec.id)
            writer.add_event(Event(wall_time=time.time(), step=0, summary=configuration))
            for row in trial.result.history:
                event = Event(wall_time=time.time(), step=int(row["epoch"]))
                for name, value in row.items():
                    if name != "epoch":
                        event.summary.value.add(tag=name, simple_value=value)
                writer.add_event(event)
        finally:
            writer.close()

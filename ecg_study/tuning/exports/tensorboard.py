"""Logs for TensorBoard: a run a trial, its curves and its configuration."""

from __future__ import annotations

import time
from pathlib import Path

from ecg_study.errors import EcgStudyError
from ecg_study.training.specs import Trial


class TensorBoardLogs:
    """Writes what came of each trial where TensorBoard looks for it.

    A trial is written when it has ended, so that one that was run twice is there once, as it was scored.

    Args:
        directory: the folder to give to ``tensorboard --logdir``.

    Raises:
        StudyError: the package ``tensorboard`` is not installed.
    """

    def __init__(self, directory: Path) -> None:
        try:
            import tensorboard.plugins.hparams.api  # noqa: F401
        except ImportError as error:
            raise EcgStudyError(
                "--tensorboard: needs the package tensorboard; 'pip install tensorboard' brings it"
            ) from error
        self.directory = directory

    def write(self, trial: Trial) -> None:
        """Write one trial: its configuration for the page "HParams", its metrics for the page "Time series"."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.hparams.api import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        writer = EventFileWriter(str(self.directory / trial.plan.id))
        try:
            configuration = hparams_pb(trial.plan.hyperparameters, trial_id=trial.plan.id)
            writer.add_event(Event(wall_time=time.time(), step=0, summary=configuration))
            for row in trial.outcome.history:
                event = Event(wall_time=time.time(), step=int(row["epoch"]))
                for name, value in row.items():
                    if name != "epoch":
                        event.summary.value.add(tag=name, simple_value=value)
                writer.add_event(event)
        finally:
            writer.close()

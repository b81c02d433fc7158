"""The loop over steps: train, validate, save the state, and end with the budget."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from ecg_study.ecg_data.segments.stream import SegmentStream, ValidationBatches
from ecg_study.errors import SettingsError
from ecg_study.progress import raise_if_interrupted
from ecg_study.training.backend import has_gpu
from ecg_study.training.scores.scored import Scored
from ecg_study.training.specs import WARMUP, EpochCallback, TrainingOptions, TrialStopped
from ecg_study.training.steps.budget import TrainingBudget, segments_in
from ecg_study.training.steps.network import Network
from ecg_study.training.steps.recorder import AVERAGED, LOSS, Recorder
from ecg_study.training.steps.saved_state import SavedState, TrainingStateFile
from ecg_study.training.steps.schedule import Plateau, cosine

_REPORT_SECONDS = 0.5  # between two reports of progress


def _workers() -> int:
    """Return the threads that prepare batches: one keeps up with training on a CPU, not with a GPU."""
    return max(1, min(8, (os.cpu_count() or 1) - 1)) if has_gpu() else 1


@dataclass(frozen=True)
class StepProgress:
    """Progress of a training.

    Attributes:
        segments: segments seen.
        share: share of the budget that is done, from 0 to 1.
        seconds: time of the training, over all runs of the program.
        seconds_left: estimated time to its end; ``None`` before the first step of this run.
        segments_per_second: speed of training in this run.
        loss: mean loss since the last validation; ``None`` before the first step after it.
        history: row of each validation.
    """

    segments: int
    share: float
    seconds: float
    seconds_left: float | None
    segments_per_second: float
    loss: float | None
    history: Sequence[dict[str, float]]


Score = Callable[[Network], Scored]
"""A function from a network to the score of its present weights."""

StepCallback = Callable[[StepProgress], None]


class StepLoop:
    """Training of a network on a stream.

    Args:
        network: the model in training.
        stream: the batches.
        validation: batches for validation; ``None`` for no validation.
        budget: length of the training.
        options: learning rate, patience, validation.
        recorder: keeps history and weights.
        first_epoch: epochs that were trained before.
        score: computes more metrics in validation; ``None`` for none.

    Attributes:
        recorder: keeps history and weights.
        initial: weights before the training, if they may be kept.
        subject_scores: score of each validation subject in the last validation.
    """

    def __init__(
        self,
        network: Network,
        stream: SegmentStream,
        *,
        validation: ValidationBatches | None,
        budget: TrainingBudget,
        options: TrainingOptions,
        recorder: Recorder,
        first_epoch: int = 0,
        score: Score | None = None,
    ) -> None:
        self._network, self._stream, self._validation = network, stream, validation
        self._budget, self._options, self.recorder, self._first_epoch = budget, options, recorder, first_epoch
        self._score = score
        self._every = options.validate_every or stream.segments_per_epoch
        self._steps = budget.steps(stream)
        self._highest_rate = network.learning_rate
        self._plateau = Plateau(max(1, options.patience // 2)) if options.schedule == "plateau" else None
        self._step, self._loss_sum, self._loss_count = 0, 0.0, 0
        self._validation_seconds = 0.0
        self.initial: list[np.ndarray] = []
        self.subject_scores: dict[str, float] = {}
        # The clock of this run of the program.
        self._started, self._before = time.monotonic(), 0.0
        self._first_step, self._training_seconds = 0, 0.0

    @property
    def seconds(self) -> float:
        """Time of the training in seconds, over all runs of the program."""
        return self._before + time.monotonic() - self._started

    def begin(self) -> None:
        """Measure the initial weights if they may be kept."""
        if self._options.keep_initial and self._validation is not None:
            self.recorder.record.initial_loss = self._network.validate(self._validation)["loss"]
            self.initial = self._network.variables()

    def resume(self, state: SavedState) -> None:
        """Continue from a saved state.

        Raises:
            SettingsError: the budget is smaller than what is done.
            ValueError: the state belongs to another model.
        """
        done = segments_in(self._stream, state.step)
        if self._steps is not None and state.step > self._steps:
            field = "segments" if self._budget.segments is not None else "epochs"
            problem = (
                f"a budget of {self._budget} ends after {segments_in(self._stream, self._steps):,} segments, but "
                f"{done:,} are trained already; choose a larger one"
            )
            raise SettingsError(field, problem, value=getattr(self._budget, field))
        # A finished training stops before its hours are over, because of its last validation.
        if self._budget.hours is not None and self._budget.hours * 3600 < state.seconds - state.validation_seconds:
            problem = (
                f"{self._budget.hours:g} is less than the {state.seconds / 3600:.3g} hours that are trained already"
            )
            raise SettingsError("hours", f"{problem}; choose a larger budget", value=self._budget.hours)
        # TensorFlow compiles the step for the size of the first batch that it sees, and for any size at the second.
        # A smaller batch that came first would be computed in another order and rounded differently.
        self._network.train(self._stream.batch(0))
        self._network.restore(list(state.now))
        recorder = self.recorder
        recorder.record, recorder.best, self.initial = state.record, list(state.best), list(state.initial)
        self._plateau = state.plateau or self._plateau
        self._step, self._loss_sum, self._loss_count = state.step, state.loss_sum, state.loss_count
        self._validation_seconds, self._before = state.validation_seconds, state.seconds
        self._started, self._first_step = time.monotonic(), state.step

    def run(
        self,
        *,
        state_file: TrainingStateFile | None = None,
        on_progress: EpochCallback | None = None,
        on_step: StepCallback | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train to the end of the budget.

        Args:
            state_file: where the state is saved: regularly, after each validation, and if the training is stopped.
            on_progress: called after each validation.
            on_step: called with the progress, at most a few times per second.
            should_stop: called after each batch; training stops if it returns true.

        Raises:
            TrialStopped: ``should_stop`` returned true.
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        saved = reported = time.monotonic()
        with closing(self._stream.batches(self._step, workers=_workers())) as batches:
            while not self._finished():
                self._set_learning_rate()
                batch = next(batches)
                self._train(batch[0], batch[1])
                try:
                    raise_if_interrupted()
                    if should_stop():
                        raise TrialStopped
                except (KeyboardInterrupt, TrialStopped):
                    self._save(state_file)
                    raise
                validated = self._is_due()
                if validated:
                    self._validate(on_progress)
                now = time.monotonic()
                if state_file is not None and (validated or now - saved >= state_file.seconds):
                    self._save(state_file)
                    saved = time.monotonic()
                if on_step is not None and (validated or now - reported >= _REPORT_SECONDS):
                    on_step(self._progress())
                    reported = now

    def _share(self, step: float) -> float:
        """Return the share of the budget that is done after ``step`` batches."""
        if self._steps is not None:
            return min(1.0, step / self._steps)
        return min(1.0, self.seconds / self._time_to_train())

    def _time_to_train(self) -> float:
        """Return the seconds of a budget in hours without its last validation."""
        assert self._budget.seconds is not None
        return max(1e-9, self._budget.seconds - self._validation_seconds)

    def _finished(self) -> bool:
        if self.recorder.record.stopped:
            return True
        if self._steps is not None:
            return self._step >= self._steps
        return self._step > 0 and self.seconds >= self._time_to_train()

    def _set_learning_rate(self) -> None:
        if self._options.schedule != "cosine":
            return
        warmup = self._options.warmup
        if warmup is None:
            warmup = WARMUP if self._steps is None else min(1.0, self._stream.batches_per_epoch / self._steps)
        # The middle of the step, so that neither the first nor the last has a rate of 0.
        rate = cosine(self._share(self._step + 0.5), warmup=warmup)
        self._network.set_learning_rate(self._highest_rate * rate)

    def _train(self, segments: np.ndarray, targets: np.ndarray) -> None:
        started = time.monotonic()
        loss = self._network.train((segments, targets))
        self._step += 1
        self._loss_sum += loss * len(segments)
        self._loss_count += len(segments)
        self._training_seconds += time.monotonic() - started
        # After a NaN or infinite loss, all further steps are wasted.
        if self._options.stop_when_diverged and not math.isfinite(loss):
            self.recorder.record.stopped = True

    def _is_due(self) -> bool:
        before, after = (segments_in(self._stream, step) // self._every for step in (self._step - 1, self._step))
        return after > before or self._finished()

    def _validate(self, on_progress: EpochCallback | None) -> None:
        started = time.monotonic()
        segments = segments_in(self._stream, self._step)
        epoch = self._first_epoch + segments / self._stream.segments_per_epoch
        row = {"epoch": int(epoch) if epoch.is_integer() else round(epoch, 4), "segments": segments}
        if self._options.schedule != "constant":
            row["learning_rate"] = self._network.learning_rate
        metrics = {"loss": self._loss_sum / self._loss_count} if self._loss_count else {}
        if self._validation is not None and (self._finished() or not self._options.only_at_end):
            metrics |= self._measured_metrics(self._validation)
        self.recorder.add(row, metrics)
        if self._plateau is not None and LOSS in metrics:
            self._plateau.validated(metrics[LOSS])
            self._network.set_learning_rate(self._highest_rate * self._plateau.rate)
        self._loss_sum, self._loss_count = 0.0, 0
        self._validation_seconds = time.monotonic() - started
        if on_progress is not None:
            on_progress(int(epoch), metrics)

    def _measured_metrics(self, validation: ValidationBatches) -> dict[str, float]:
        """Return the metrics of the weights and of their average, as names in the history.

        A trial is scored by its average alone, though the next rung goes on from the weights themselves. A training
        that keeps the last weights keeps their average, so only that is measured.
        """
        if not self._network.averages:
            return {f"val_{name}": value for name, value in self._measured(validation).items()}
        with self._network.averaged_weights():
            found = self._measured(validation)
        if self._options.keep in ("last scored", "last"):
            return {f"val_{name}": value for name, value in found.items()}
        raw = {f"val_{name}": value for name, value in self._measured(validation).items()}
        return raw | {f"{AVERAGED}val_{name}": value for name, value in found.items()}

    def _measured(self, validation: ValidationBatches) -> dict[str, float]:
        """Return loss, metrics and score of the present weights."""
        metrics = self._network.validate(validation)
        if self._score is None:
            return metrics
        scored = self._score(self._network)
        self.subject_scores = scored.by_subject
        return metrics | scored.metrics

    def _save(self, state_file: TrainingStateFile | None) -> None:
        if state_file is None:
            return
        recorder = self.recorder
        state_file.save(
            SavedState(
                step=self._step,
                seconds=self.seconds,
                validation_seconds=self._validation_seconds,
                loss_sum=self._loss_sum,
                loss_count=self._loss_count,
                record=recorder.record,
                plateau=self._plateau,
                now=self._network.variables(),
                best=recorder.best,
                initial=self.initial,
            )
        )

    def _progress(self) -> StepProgress:
        done, share = self._step - self._first_step, self._share(self._step)
        segments = segments_in(self._stream, self._step)
        trained = segments - segments_in(self._stream, self._first_step)
        run_seconds = time.monotonic() - self._started
        if self._steps is None:
            left: float | None = max(0.0, (self._budget.seconds or 0.0) - self.seconds)
        else:
            left = (self._steps - self._step) * run_seconds / done if done else None
        return StepProgress(
            segments=segments,
            share=share,
            seconds=self.seconds,
            seconds_left=left,
            segments_per_second=trained / max(1e-9, self._training_seconds),
            loss=self._loss_sum / self._loss_count if self._loss_count else None,
            history=tuple(self.recorder.record.history),
        )

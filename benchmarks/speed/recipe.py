"""Our search against the original recipe, on the same records: epochs per minute, and time to the same score.

    python -m benchmarks.speed.recipe                                        # synthetic records
    python -m benchmarks.speed.recipe --database mitdb --raw-dir ../mitdb    # records of DS1

The recipe has a per-sample LSTM of two layers over segments of 500 samples, batches of 32 from a Python generator
without a cache, one process, and Keras Tuner's own Hyperband with its defaults. Both searches run the same brackets and
rungs on the same training samples with the same noise, and score the mean squared error on the same validation records.
So an epoch has the same data. The times include tracing, validation, and the start of the workers. The time to a score
is the time until the first trial ended that has it.

It takes 15 to 30 minutes on 2 cores, nearly all for the recipe. It needs the package tensorboard, without which
Keras Tuner 1.4.8 fails in every trial (requirements-dev.txt).
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.searching import Quiet
from ecg_study.ecg_data.databases.catalog import open_database
from ecg_study.ecg_data.databases.splits import Split
from ecg_study.ecg_data.segments.cache import SegmentCache, open_cache
from ecg_study.ecg_data.segments.layout import SegmentSettings
from ecg_study.models.card import DENOISER
from ecg_study.search_spaces.built_in import PRESETS
from ecg_study.training.backend import import_backend
from ecg_study.training.executors.factory import open_executor
from ecg_study.training.task import TrainingTask
from ecg_study.tuning.plan import SearchPlan
from ecg_study.tuning.schedule import schedule_of
from ecg_study.tuning.search import SearchOptions, run_search

EPOCHS, BATCH = 3, 32
RECORDS = {
    "synthetic": (("s01", "s02", "s03", "s04", "s05", "s06"), ("s07", "s08")),
    "mitdb": (("101", "106", "112", "122"), ("109",)),
}
"""Training and validation records; those of MIT-BIH are from DS1."""


@dataclass(frozen=True)
class SearchOutcome:
    """Seconds of a search, its training epochs, and when each trial ended in s with which validation score in mV²."""

    seconds: float
    epochs: int
    ended: tuple[tuple[float, float], ...]

    @property
    def score(self) -> float:
        """Best validation score in mV²."""
        return min(score for _, score in self.ended)

    def seconds_to(self, score: float) -> float | None:
        """Return the seconds until a trial had a score, or a better one; ``None`` if none had."""
        return min((seconds for seconds, found in self.ended if found <= score), default=None)

    @property
    def pace(self) -> float:
        """Epochs per minute."""
        return 60 * self.epochs / self.seconds


def search_ours(cache: SegmentCache, split: Split, *, directory: Path) -> SearchOutcome:
    """Run the search of this project with its default workers, on all segments in each epoch."""
    preset = replace(PRESETS["quick"], max_epochs=EPOCHS, batch_size=BATCH, segments_per_epoch=None)
    task = TrainingTask(DENOISER, cache, split, preset)
    started = time.monotonic()
    with open_executor(None) as workers:
        opened = time.monotonic() - started
        result = run_search(
            task, SearchOptions(0), directory=directory / "ours", executor=workers, view=_Progress("ours")
        )
    ended = [(opened + trial.ended, trial.result.score) for trial in result.trials if trial.result.score is not None]
    epochs = sum(rung.total_epochs for rung in schedule_of(preset))
    return SearchOutcome(time.monotonic() - started, epochs, tuple(ended))


def search_by_recipe(cache: SegmentCache, split: Split, *, directory: Path) -> SearchOutcome:
    """Run the recipe's search."""
    import keras
    import keras_tuner
    from keras import layers

    def build(hp: Any) -> keras.Model:
        model = keras.Sequential(
            [
                keras.Input((cache.settings.segment_samples, 1)),
                layers.LSTM(hp.Choice("units_1", [32, 64]), return_sequences=True),
                layers.Dropout(hp.Choice("dropout", [0.0, 0.1, 0.2])),
                layers.LSTM(hp.Choice("units_2", [16, 32]), return_sequences=True),
                layers.Dense(1),
            ]
        )
        model.compile(keras.optimizers.Adam(hp.Float("learning_rate", 1e-3, 1e-2, sampling="log")), loss="mse")
        return model

    class Timed(keras_tuner.Hyperband):
        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            ended.append((time.monotonic() - started, float(self.oracle.get_trial(trial.trial_id).score)))

    tuner = Timed(
        build,
        objective="val_loss",
        max_epochs=EPOCHS,
        factor=3,
        seed=1,
        directory=str(directory / "recipe"),
        project_name="recipe",
    )
    ended: list[tuple[float, float]] = []
    epochs: list[int] = []
    training, validation = (_uncached(cache, records) for records in (split.train, split.validation))
    started = time.monotonic()
    tuner.search(training, validation_data=validation, callbacks=[_count_epochs(epochs)], verbose=0)
    seconds = time.monotonic() - started
    return SearchOutcome(seconds, len(epochs), tuple(ended))


def _uncached(cache: SegmentCache, records: tuple[str, ...]) -> Any:
    """Return a dataset that reads segment by segment, in another order in each epoch."""
    import keras

    class Segments(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            self.on_epoch_end()

        def __len__(self) -> int:
            return math.ceil(len(self._rows) / BATCH)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            rows = self._rows[index * BATCH : (index + 1) * BATCH]
            noisy, clean = zip(*[(cache.noisy[row][:, None], cache.clean[row][:, None]) for row in rows], strict=True)
            return np.stack(noisy), np.stack(clean)

        def on_epoch_end(self) -> None:
            self._rows = np.random.permutation(cache.rows(records))  # noqa: NPY002  # as in the recipe

    return Segments()


class _Progress(Quiet):
    def __init__(self, name: str) -> None:
        self.name = name

    def search_began(self, plan: SearchPlan, *, finished: list[Any], best: float | None) -> None:  # noqa: ARG002
        print(f"{self.name}: {plan.trials} trials, {plan.epochs} epochs, {plan.workers} workers", flush=True)


def _count_epochs(ended: list[int]) -> Any:
    """Return a callback that appends each epoch of all trials to ``ended``, although Keras Tuner copies callbacks."""
    import keras

    class Epochs(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002  # Keras' signature
            ended.append(epoch)
            print(f"recipe: {len(ended)} epochs", flush=True)

    return Epochs()


def main() -> None:
    """Run both searches, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--database", choices=tuple(RECORDS), default="synthetic")
    parser.add_argument("--raw-dir", type=Path, help="folder of the MIT-BIH records")
    options = parser.parse_args()
    import_backend()
    train, validation = RECORDS[options.database]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        database = open_database(
            options.database, data_dir=directory, raw_dir=options.raw_dir, records=(*train, *validation)
        )
        split = Split(train, validation, ("not used here",))
        long, short = (
            open_cache(database, SegmentSettings(segment_samples=segment, window_samples=window), data_dir=directory)
            for segment, window in ((2016, 144), (500, 100))
        )
        ours = search_ours(long, split, directory=directory)
        recipe = search_by_recipe(short, split, directory=directory)
    for title, found in (("ours", ours), ("recipe", recipe)):
        print(
            f"{title}: {found.epochs} epochs in {found.seconds:.0f} s, {found.pace:.2f} per minute, "
            f"best validation score {found.score:.3g} mV² (RMSE {found.score**0.5:.4f} mV)"
        )
    pace, error = ours.pace / recipe.pace, ours.score / recipe.score
    print(f"pace: {pace:.1f} times the recipe's; squared error of the best: {error:.2f} times the recipe's")
    theirs, mine = recipe.seconds_to(recipe.score), ours.seconds_to(recipe.score)
    if mine is None or theirs is None:
        print("ours did not reach the recipe's best score")
    else:
        print(f"the recipe's best score: in {mine:.0f} s instead of {theirs:.0f} s, {theirs / mine:.1f} times as fast")


if __name__ == "__main__":
    main()

"""Identity of a search, and its start: from a saved state, or anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ecg_study.errors import StateError
from ecg_study.extras import BACKENDS, backend_name
from ecg_study.files import locked
from ecg_study.models.card import DENOISER
from ecg_study.search_spaces.presets import DEFAULT_OPTIMIZER
from ecg_study.search_spaces.training_data import CLEAN, STRENGTHS
from ecg_study.training.task import TrainingTask, augmentation_as_json
from ecg_study.tuning.state import SavedSearch, SearchResult, SearchStateFile, load_search
from ecg_study.tuning.warm_start import first_configurations

_STORED_PRESETS = {"white-noise": "white"}
"""Presets that saved searches know by their name of 0.1.0."""


@dataclass(frozen=True)
class SearchStart:
    """A search that can start or resume: nothing contradicts it.

    Attributes:
        directory: folder of the search.
        saved: its state, of which a new search has only identity and first configurations.
        notices: messages on the start of a new search.
    """

    directory: Path
    saved: SavedSearch
    notices: tuple[str, ...] = ()


def find_start(
    task: TrainingTask, directory: Path, *, seed: int, warm_start: Path | None = None, restart: bool = False
) -> SearchStart:
    """Return how a search starts or resumes. Nothing is changed.

    Args:
        task: the model and its data.
        directory: folder of the search.
        seed: seed of the study.
        warm_start: output folder of an earlier study whose best configurations are tried first. A search that resumes
            does not need it.
        restart: start anew, whatever is saved; see `start_anew`.

    Raises:
        StateError: the saved search is damaged or used other data, settings or another space, or the earlier study
            cannot be used.
        SettingsError: the pretrained model does not fit the space.
    """
    file = SearchStateFile(directory)
    saved = None if restart else file.load()
    identity = search_identity(task, seed=seed, warm_start="" if warm_start is None else str(warm_start))
    if saved is not None:
        file.check_same(saved.identity, identity)
        return SearchStart(directory, saved)
    warm = first_configurations(task, warm_start)
    return SearchStart(directory, SavedSearch(identity, warm=list(warm.configurations)), tuple(warm.notices))


def start_anew(starts: Sequence[SearchStart]) -> None:
    """Rename the folders of saved searches together, without deleting anything, and write the new states.

    So if the program ends before the last of these searches has started, they all resume.

    Args:
        starts: new searches, from `find_start`.

    Raises:
        StateError: another process searches in one of the folders.
    """
    with ExitStack() as locks:
        for start in starts:
            locks.enter_context(search_lock(start.directory))
        for start in starts:
            SearchStateFile(start.directory).set_aside()
        for start in starts:
            SearchStateFile(start.directory).save(start.saved)


def load_same_search(task: TrainingTask, directory: Path, *, seed: int) -> SearchResult:
    """Read a saved search, finished or not, and check that its task, data and seed are the same.

    Raises:
        StateError: it is missing, damaged, or differs.
    """
    result = load_search(directory)
    identity = search_identity(task, seed=seed, warm_start=result.identity["warm start"])
    SearchStateFile(directory).check_same(result.identity, identity)
    return result


def _strengths(task: TrainingTask) -> dict[str, Any]:
    """Return what the strengths of augmentation mean, if trials differ in them."""
    ranges = task.preset.denoiser if task.name == DENOISER else task.preset.detector
    used = {name: dict(STRENGTHS[name]) for name in ranges.augmentation if name != CLEAN}
    return {"strengths": used} if used else {}


def search_identity(task: TrainingTask, *, seed: int, warm_start: str) -> dict[str, Any]:
    """Return everything that determines what a search explores, as JSON. Its keys are stored and compared."""
    from ecg_study.tuning.oracle import hyperparameter_space

    preset = asdict(task.preset)
    brackets = {} if task.preset.brackets is None else {"brackets": task.preset.brackets}
    sizes = ("max_epochs", "factor", "iterations", "batch_size", "segments_per_epoch")
    seen = task.cache.signals([*task.split.train, *task.split.validation])
    return {
        "task": task.name,
        "objective": list(task.objective),
        "data": task.cache.key,
        "data settings": task.cache.settings.as_mapping(),
        "training records": list(task.split.train),
        "validation records": list(task.split.validation),
        "signals": sorted(digest for digests in seen.values() for digest in digests),
        "preset": _STORED_PRESETS.get(task.preset.name, task.preset.name),
        "sizes": {**{name: preset[name] for name in sizes}, "batch_size": task.batch_size, **brackets},
        **augmentation_as_json(task),
        **({"shares": dict(task.shares)} if task.shares else {}),
        **_strengths(task),
        **({} if task.preset.optimizer == DEFAULT_OPTIMIZER else {"optimizer": asdict(task.preset.optimizer)}),
        "space": hyperparameter_space(task),
        "seed": seed,
        "warm start": warm_start,
        **({} if task.pretrained is None else {"pretrained": [task.pretrained.name, task.pretrained.sha256]}),
        **({} if backend_name() == BACKENDS[0] else {"KERAS_BACKEND": backend_name()}),
    }


@contextmanager
def search_lock(directory: Path) -> Iterator[None]:
    """Keep other processes from searching in a folder during the block.

    Raises:
        StateError: another process searches there.
    """
    with locked(directory.parent / f".{directory.name}.lock") as ours:
        if not ours:
            raise StateError(
                f"{directory}: another process is searching here; wait for it, or set output_dir to another folder",
                parameters=("output_dir",),
            )
        yield

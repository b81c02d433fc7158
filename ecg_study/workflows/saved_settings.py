"""Settings of a saved search that differ from those of a study, named for the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecg_study.formatting import difference
from ecg_study.reading import UnreadableError, read_toml
from ecg_study.tuning.state import WAY_OUT, WAY_OUT_PARAMETERS, OtherSearchError
from ecg_study.workflows.settings import Settings, as_mapping

_DECIDING = (
    "database",
    "databases",
    "test_database",
    "records",
    "lead",
    "annotator",
    "own_marks",
    "noise_sigma_mv",
    "segment_samples",
    "window_samples",
    "skip_invalid",
    "seed",
    "preset",
    "hours",
    "warm_start",
    "pretrained",
    "keras_layers",
)
"""Settings that change the data, the space or the trials of a search."""

_FOLDERS = ("raw_dir", "noise_dir")
"""Folders of data. The same data may lie in another one, so they are named only if no other setting differs. The file
of a preset may have moved too, so only its name counts."""


@contextmanager
def naming_settings(settings: Settings, path: Path) -> Iterator[None]:
    """Name the settings that differ from the saved ones where a saved search is refused.

    The search itself only knows hashes of the data and values of the preset.

    Args:
        settings: the settings of the study.
        path: the file with the settings of the saved search.

    Raises:
        OtherSearchError: a search in the ``with`` block is that of other settings or data.
    """
    try:
        yield
    except OtherSearchError as error:
        changed = _changed(settings, path)
        if not changed:
            raise
        before = " and ".join(f"{name} = {saved}" for name, saved, _ in changed)
        now = " and ".join(f"{name} = {requested}" for name, _, requested in changed)
        problem = f"{error.directory}: the saved search used {before}, but {now} was requested; use {before}, {WAY_OUT}"
        names = tuple(name for name, _, _ in changed)
        raise OtherSearchError(problem, error.directory, parameters=(*names, *WAY_OUT_PARAMETERS)) from error


def _changed(settings: Settings, path: Path) -> list[tuple[str, str, str]]:
    """Return the name, the saved value and the requested value of each setting that differs."""
    try:
        content = read_toml(path)
    except (OSError, UnreadableError):  # the search is refused anyway
        return []
    # What the file says is compared, not what it means: the file of its preset may be gone.
    saved, requested = (
        {name.replace("-", "_"): value for name, value in values.items()}
        for values in ({**as_mapping(Settings()), **content}, as_mapping(settings))
    )
    for values in (saved, requested):
        values["preset"] = Path(str(values["preset"])).name
        if values.get("warm_start"):
            values["warm_start"] = str(Path(str(values["warm_start"])).resolve())  # as the search compares it
    changed = [name for name in (*_DECIDING, *_FOLDERS) if saved.get(name) != requested.get(name)]
    named = [name for name in changed if name not in _FOLDERS] or changed
    return [(name, *difference(saved.get(name), requested.get(name))) for name in named]

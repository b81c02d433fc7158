"""View of the searches in an output folder while they run, possibly in another process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ecg_study.errors import StateError
from ecg_study.models.card import MODEL_KINDS
from ecg_study.reports.live_page import LiveSearch, render_live_page
from ecg_study.search_spaces.preset_files import load_preset
from ecg_study.search_spaces.presets import Preset
from ecg_study.tuning.findings.analysis import summarize_search
from ecg_study.tuning.schedule import schedule_of
from ecg_study.tuning.state import STATE_FILE, SearchResult, load_search, search_directory
from ecg_study.workflows.settings import SETTINGS_FILE, load_settings

_Stamp = tuple[tuple[str, int, int], ...]


class LiveView:
    """The page of the searches in an output folder. It is rendered again when a search has saved its state.

    Args:
        output_dir: output folder of a study.

    Raises:
        StateError: the folder has no study.
    """

    def __init__(self, output_dir: Path) -> None:
        """Open the folder of a study."""
        self._output_dir = output_dir
        self._rendered: tuple[_Stamp, str] | None = None
        if not (output_dir / SETTINGS_FILE).is_file():
            problem = "no study has begun here; start one with search or run, or name its output folder"
            raise StateError(f"{output_dir}: {problem}", parameters=("output_dir",))

    def page(self) -> str:
        """Return the page as HTML.

        Raises:
            StateError: a saved search is damaged.
            SettingsError: the settings of the study are.
        """
        stamp = self._stamp()
        if self._rendered is None or self._rendered[0] != stamp:
            self._rendered = stamp, render_live_page(f"Searches in {self._output_dir}", self._searches())
        return self._rendered[1]

    def _stamp(self) -> _Stamp:
        """Return what changes whenever a search saves its state."""
        paths = [search_directory(self._output_dir, name) / STATE_FILE for name in MODEL_KINDS]
        found = [(path, path.stat()) for path in paths if path.is_file()]
        return tuple((str(path), status.st_mtime_ns, status.st_ino) for path, status in found)

    def _searches(self) -> list[LiveSearch]:
        preset = load_preset(str(load_settings(self._output_dir / SETTINGS_FILE).get("preset", "quick")))
        found = []
        for name in MODEL_KINDS:
            directory = search_directory(self._output_dir, name)
            if (directory / STATE_FILE).is_file():
                found.append(_live(name, load_search(directory), preset))
        return found


def _live(name: str, search: SearchResult, preset: Preset) -> LiveSearch:
    # The sizes of a search for a given time are not those of the preset.
    sizes = search.identity["sizes"]
    hyperband = {size: sizes[size] for size in ("max_epochs", "factor", "iterations")}
    preset = replace(preset, **hyperband, brackets=sizes.get("brackets"))
    schedule = schedule_of(preset)
    epochs = sum(trial.spec.epochs - trial.spec.initial_epoch for trial in search.trials)
    left = sum(rung.total_epochs for rung in schedule) - epochs
    return LiveSearch(
        summary=summarize_search(name, search, preset=preset),
        finished=len(search.trials),
        planned=sum(rung.trials for rung in schedule),
        done=search.done or bool(search.stopped),
        seconds_left=None if search.done or search.stopped or not epochs else search.seconds / epochs * left,
    )

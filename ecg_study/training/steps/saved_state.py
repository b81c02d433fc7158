"""State of a training on disk: one file, written completely or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from ecg_study.errors import StateError
from ecg_study.files import exclusive, remove_abandoned, write_bytes
from ecg_study.formatting import difference
from ecg_study.reading import UnreadableError, first_problem, parse_json, read_npz
from ecg_study.training.steps.recorder import Record
from ecg_study.training.steps.schedule import Plateau
from ecg_study.training.stored import Count, Finite, Seconds, Stored

STATE_FORMAT = 1

SAVE_SECONDS = 300.0
"""Time between two saved states: what a kill costs at most."""

_WAY_OUT = "pass restart to start over, or set output_dir to another folder"
_WAY_OUT_PARAMETERS = ("restart", "output_dir")

_DATA = "data"
"""Name of the condition with the key of the cached segments."""

_CONTENT = "state"
_GROUPS = ("now", "best", "initial")


@dataclass
class SavedState:
    """Everything that is needed to resume a training after a step.

    Attributes:
        step: number of batches that are done.
        seconds: time of the training so far.
        validation_seconds: time of the last validation.
        loss_sum: sum of the losses of all segments since the last validation.
        loss_count: number of these segments.
        record: history and what is kept.
        plateau: learning rate on a plateau schedule; ``None`` on others.
        now: all variables of model and optimizer.
        best: the variables that are kept; empty if there are none.
        initial: the variables before the training, if they may be kept.
    """

    step: int
    seconds: float
    validation_seconds: float
    loss_sum: float
    loss_count: int
    record: Record
    plateau: Plateau | None
    now: Sequence[np.ndarray]
    best: Sequence[np.ndarray] = ()
    initial: Sequence[np.ndarray] = ()


class _StoredRecord(Stored):
    history: list[dict[str, Finite]]
    score: Finite | None
    epoch: Finite | None
    averaged: bool
    not_better: Count
    initial_loss: Finite | None
    stopped: bool


class _StoredPlateau(Stored):
    patience: Count
    rate: Annotated[float, Field(gt=0, le=1)]
    best: Finite | None
    waited: Count


class _StoredContent(Stored):
    format: Literal[1]
    conditions: dict[str, Any]
    step: Annotated[int, Field(ge=0, le=10**12)]
    seconds: Seconds
    validation_seconds: Seconds
    loss_count: Annotated[int, Field(ge=0, le=10**12)]
    record: _StoredRecord
    plateau: _StoredPlateau | None


@dataclass(frozen=True)
class TrainingStateFile:
    """The file with the state of one training.

    Attributes:
        path: the file.
        conditions: everything that determines the weights but the budget, as JSON.
        seconds: time between two saved states.
    """

    path: Path
    conditions: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = SAVE_SECONDS

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of this training.

        Raises:
            StateError: another process holds it.
        """
        busy = f"{self.path.parent}: another process is training here; wait for it, or choose another output folder"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self.path.with_name(f".{self.path.name}.lock"), busy=busy):
            remove_abandoned(self.path.parent)
            yield

    def save(self, state: SavedState) -> None:
        """Write the state."""
        content = {
            "format": STATE_FORMAT,
            "conditions": dict(self.conditions),
            "step": state.step,
            "seconds": state.seconds,
            "validation_seconds": state.validation_seconds,
            "loss_count": state.loss_count,
            "record": asdict(state.record),
            "plateau": None if state.plateau is None else asdict(state.plateau),
        }
        arrays = {
            f"{group}{index:04d}": value for group in _GROUPS for index, value in enumerate(getattr(state, group))
        }
        text = json.dumps(content, allow_nan=False).encode()
        # As an array, since JSON has no NaN.
        arrays |= {_CONTENT: np.frombuffer(text, np.uint8), "loss_sum": np.array(state.loss_sum, np.float64)}
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, **arrays)
        write_bytes(self.path, packed.getvalue())

    def load(self) -> SavedState | None:
        """Return the saved state, or ``None`` without a file.

        Raises:
            StateError: the file is damaged, or its training had other conditions.
        """
        try:
            arrays = read_npz(self.path)
            content = _content(arrays)
        except FileNotFoundError:
            return None
        except UnreadableError as error:
            raise self.damaged(str(error)) from error
        self._check_same(content["conditions"])
        groups = {group: [arrays[name] for name in sorted(arrays) if name.startswith(group)] for group in _GROUPS}
        return SavedState(
            step=content["step"],
            seconds=content["seconds"],
            validation_seconds=content["validation_seconds"],
            loss_sum=float(arrays["loss_sum"]),
            loss_count=content["loss_count"],
            record=Record(**content["record"]),
            plateau=None if content["plateau"] is None else Plateau(**content["plateau"]),
            **groups,
        )

    def damaged(self, problem: str) -> StateError:
        """Return the error for a state that cannot be used."""
        return StateError(
            f"{self.path}: the file is damaged, so the training cannot resume; {_WAY_OUT} ({problem})",
            parameters=_WAY_OUT_PARAMETERS,
        )

    def _check_same(self, saved: Mapping[str, Any]) -> None:
        # Through JSON, in which tuples are lists.
        requested = json.loads(json.dumps(dict(self.conditions)))
        different = [key for key in sorted({*saved, *requested}) if saved.get(key) != requested.get(key)]
        if not different:
            return
        # The key of the data says least: whatever else differs, such as the seed, may have changed it too.
        key = next((name for name in different if name != _DATA), _DATA)
        if key == _DATA:
            problem = "the saved training used other records, or other settings of their segments; use those"
        else:
            before, now = difference(saved.get(key), requested.get(key))
            problem = f"the saved training used {key} = {before}, but {key} = {now} was requested; use {key} = {before}"
        raise StateError(f"{self.path}: {problem}, {_WAY_OUT}", parameters=_WAY_OUT_PARAMETERS)


def _content(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the checked content of a state without its variables.

    Raises:
        UnreadableError: it is damaged.
    """
    text, loss_sum = arrays.get(_CONTENT), arrays.get("loss_sum")
    if text is None or text.dtype != np.uint8 or loss_sum is None or loss_sum.shape or loss_sum.dtype != np.float64:
        raise UnreadableError("not the state of a training")
    try:
        content = parse_json(text.tobytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UnreadableError("not UTF-8 text") from error
    version = content.get("format") if isinstance(content, dict) else None
    if isinstance(version, int) and version != STATE_FORMAT:
        raise UnreadableError(f"format {version} is not supported, expected {STATE_FORMAT}")
    try:
        _StoredContent.model_validate(content)
    except ValidationError as error:
        raise UnreadableError(first_problem(error)) from error
    assert isinstance(content, dict)
    return content

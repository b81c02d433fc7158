"""Checks of stored trainings, with the keys of their files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ecg_study.training.specs import COMPLETED

Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
TrialId = Annotated[str, Field(pattern=r"\A[0-9]{3,9}-r[0-9]{1,3}\z")]
"""Id of a trial, which is a part of file names."""

Value = bool | int | Finite | str | None
Configuration = dict[str, Value]
"""Hyperparameters by name."""


class Stored(BaseModel):
    """A part of a stored state."""

    model_config = ConfigDict(strict=True, extra="forbid")


class StoredSpec(Stored):
    """A `TrainingSpec` of a trial."""

    id: TrialId
    parent: TrialId | None
    iteration: Count
    bracket: Count
    rung: Count
    initial_epoch: Count
    epochs: Count
    hyperparameters: Configuration


class StoredResult(Stored):
    """A `TrainingResult`."""

    status: Literal["completed", "failed"]
    score: Finite | None
    best_epoch: Count | None
    history: list[dict[str, Finite]]
    seconds: Seconds
    parameters: Count | None
    reason: str
    attempts: Count
    subject_scores: dict[str, Finite] = Field(default_factory=dict)  # version 0.1.0 had none

    @model_validator(mode="after")
    def _check_score(self) -> StoredResult:
        if self.status == COMPLETED and self.score is None:
            raise ValueError("a completed trial has no score")
        if not all("epoch" in row for row in self.history):
            raise ValueError("the history has a row without epoch")
        return self

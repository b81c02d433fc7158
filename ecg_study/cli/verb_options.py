"""Options that belong to one verb, and are not settings of a study."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ecg_study.inference.loading import DEFAULT_MODEL
from ecg_study.models.card import MODEL_KINDS
from ecg_study.prediction.outputs import DEFAULT_FORMATS, FORMATS
from ecg_study.reports.report import SECTIONS
from ecg_study.workflows.settings import DATABASE_HELP
from ecg_study.workflows.validation import (
    CheckedModel,
    Expected,
    Flag,
    Hours,
    Names,
    NonNegativeInt,
    Number,
    PositiveInt,
    PositiveNumber,
    Share,
    Text,
    each_of,
    one_of,
)

_ModelKind = Annotated[Text, one_of(MODEL_KINDS)]

_RESTART = "start from scratch; saved searches are renamed, not deleted; to resume later, leave this option out"


class NoOptions(CheckedModel):
    """The verb has no options of its own."""


class PlanOptions(CheckedModel):
    """Options of ``plan``."""

    model_kind: _ModelKind | None = Field(
        default=None, description="plan the search of this model only (default: both)"
    )


class SearchOptions(CheckedModel):
    """Options of ``search``."""

    model_kind: _ModelKind | None = Field(default=None, description="search this model only (default: both)")
    restart: Flag = Field(default=False, description=_RESTART)


class RunOptions(CheckedModel):
    """Options of ``run``."""

    restart: Flag = Field(default=False, description=_RESTART)


class ReportOptions(CheckedModel):
    """Options of ``report``."""

    sections: Annotated[Names, each_of(SECTIONS)] | None = Field(
        default=None,
        description=f"comma-separated sections to compute again ({', '.join(SECTIONS)}); the others come from the "
        "existing report (default: all)",
    )
    render: Flag = Field(default=False, description="compute nothing; write pages and plots again from report.json")


class TrainOptions(CheckedModel):
    """Options of ``train``."""

    model_kind: _ModelKind = Field(default="detector", description="denoiser or detector")
    hours: Hours | None = Field(default=None, description="train for this many hours, validation included")
    segments: PositiveInt | None = Field(default=None, description="train on this many segments")
    epochs: PositiveInt | None = Field(default=None, description="train for this many passes over the records")
    hyperparameters: Names = Field(
        default=(),
        description="comma-separated hyperparameters, such as layers=2,units_1=64 (default: those that have one value "
        "in the preset)",
    )
    from_search: Text = Field(default="", description="output folder of a study: train the best trial of its search")
    ema: Annotated[float, Field(ge=0, lt=1), Expected("a number from 0 to below 1")] | None = Field(
        default=None,
        description="momentum of an exponential moving average of the weights, such as 0.999; validation decides "
        "between the weights and their average (default: that of the preset)",
    )
    validate_every: PositiveInt | None = Field(
        default=None, description="segments between two validations (default: one pass over the records)"
    )
    refit: Text = Field(
        default="",
        description="model folder of the same configuration, trained without this option: train on its validation "
        "records too, and take its thresholds",
    )
    start_from: Text = Field(
        default="",
        description="name or folder of a model of the same layers, whose weights it starts from (default: random)",
    )
    restart: Flag = Field(default=False, description="start from scratch; a saved training is renamed, not deleted")


class WatchOptions(CheckedModel):
    """Options of ``watch``."""

    port: NonNegativeInt = Field(default=8800, description="TCP port of the page; 0 for a free one")


class CompareOptions(CheckedModel):
    """Options of ``compare``."""

    first: Text = ""
    second: Text = ""
    output: Text = Field(default="", description="also write the comparison to this Markdown file")


class ExportOptions(CheckedModel):
    """Options of ``export``."""

    storage: Text = Field(
        default="", description="file to write (default: optuna.db in the folder search of the study)"
    )
    overwrite: Flag = Field(default=False, description="replace an existing file")


class PredictOptions(CheckedModel):
    """Options of ``predict``."""

    recordings: Names = ()
    model: Text = Field(default=DEFAULT_MODEL, description="name of a model ('models' lists them) or model folder")
    formats: Annotated[Names, each_of(FORMATS)] = Field(
        default=DEFAULT_FORMATS,
        description="comma-separated result files: csv (one row per beat, or per sample of the denoised signal), "
        "samples (one row per sample, with the column R_peak), wfdb (annotations, or the denoised record), "
        "json (summary), plot (PNG)",
    )
    min_confidence: Share | None = Field(
        default=None,
        description="write only R peaks with at least this confidence, from 0 to 1; with a calibrated model, it is the "
        "probability that the R peak is correct (default: all)",
    )
    overwrite: Flag = Field(default=False, description="replace existing results")
    skip_existing: Flag = Field(default=False, description="leave out recordings that have all these results")
    runtime: Annotated[Text, one_of(("onnx", "keras"))] | None = Field(
        default=None, description="run the model with onnx or keras, which needs the extra study (default: onnx)"
    )
    fs: PositiveNumber | None = Field(default=None, description="sampling rate in Hz, of files that do not state it")
    time_column: Text = Field(default="", description="column with the time (CSV files)")
    units: Annotated[Text, one_of(("mV", "uV", "V"))] | None = Field(
        default=None, description="mV, uV or V, of files that do not state it (default: mV)"
    )
    gain: PositiveNumber | None = Field(default=None, description="ADC units per mV, of files that do not state it")
    adc_zero: Number | None = Field(default=None, description="ADC units at 0 mV; requires --gain (default: 0)")


class EvaluateOptions(CheckedModel):
    """Options of ``evaluate``."""

    models: Names = ()
    database: Text = Field(default="mitdb", description=DATABASE_HELP)
    part: Annotated[Literal["test", "validation"], Expected("test or validation")] = Field(
        default="test", description="test, or validation to choose between models"
    )
    write_card: Flag = Field(
        default=False,
        description="write the metrics into card.json and CARD.md of each model, in place of earlier ones",
    )


class FineTuneOptions(CheckedModel):
    """Options of ``finetune``."""

    model: Text = ""
    preset: Text | None = Field(
        default=None, description="name or TOML file of the preset that the model was trained with (default: its own)"
    )
    epochs: PositiveInt = Field(default=8, description="maximum number of epochs")
    learning_rate: PositiveNumber | None = Field(
        default=None, description="learning rate of Adam (default: a tenth of the rate of the original training)"
    )

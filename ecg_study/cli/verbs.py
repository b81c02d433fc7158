"""The verbs of the command line, with their options and examples."""

from __future__ import annotations

from dataclasses import dataclass

from ecg_study.cli.verb_options import (
    CompareOptions,
    EvaluateOptions,
    ExportOptions,
    FineTuneOptions,
    NoOptions,
    PlanOptions,
    PredictOptions,
    ReportOptions,
    RunOptions,
    SearchOptions,
    TrainOptions,
    WatchOptions,
)
from ecg_study.workflows.settings import FILE_SETTINGS, Settings
from ecg_study.workflows.validation import CheckedModel

_ALL_SETTINGS = tuple(name for name in Settings.model_fields if name not in FILE_SETTINGS)
_DATA_SETTINGS = (
    "database",
    "test_database",
    "raw_dir",
    "noise_dir",
    "records",
    "lead",
    "annotator",
    "own_marks",
    "noise_sigma_mv",
    "seed",
    "skip_invalid",
    "data_dir",
)


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    Attributes:
        name: the word that the user types.
        summary: one line for the help.
        options: options of this verb alone.
        settings: names of the settings that the verb uses.
        positionals: ``(field, metavar, nargs, help)`` of each positional argument.
        examples: commands with ``{prog}`` for the program, each followed by an indented explanation.
    """

    name: str
    summary: str
    options: type[CheckedModel]
    settings: tuple[str, ...]
    examples: str
    positionals: tuple[tuple[str, str, str | None, str], ...] = ()


_PREDICT = Verb(
    "predict",
    "apply a model to recordings",
    PredictOptions,
    ("output_dir", "raw_dir", "lead"),
    """\
  {prog} predict path/to/100
      find R peaks with gru-detector; writes outputs/predictions/100.beats.csv, 100.qrs (WFDB annotations)
      and 100.beats.json
  {prog} predict path/to/100 --model lstm-denoiser
      denoise the recording
  {prog} predict holter.edf --model outputs/models/denoiser --lead all --formats wfdb,plot
      use a model of your own study; write the denoised leads as a WFDB record, and a plot
  {prog} predict watch.csv --lead ecg_uV --time-column t
  {prog} predict chest.npy --fs 250 --gain 200
      samples in ADC units, 200 per mV
  {prog} predict recordings/ more/*.edf --output-dir holter
      whole folders; unreadable files are reported, the others are processed, and the exit code is 2
  {prog} predict 100 103 --raw-dir data/raw/mitdb""",
    (
        (
            "recordings",
            "RECORDING",
            "+",
            "WFDB record, file of another format (EDF, CSV, DICOM, MATLAB, …; see docs/formats.md), "
            "folder of such files, or name of a record in --raw-dir",
        ),
    ),
)

_MODELS = Verb(
    "models",
    "list the available models",
    NoOptions,
    ("output_dir",),
    """\
  {prog} models
      pretrained models, and the models in outputs/
  {prog} models --output-dir mitdb-study""",
)

_EVALUATE = Verb(
    "evaluate",
    "measure models on test or validation records",
    EvaluateOptions,
    ("test_database", "raw_dir", "noise_dir", "records", "annotator", "data_dir", "output_dir"),
    """\
  {prog} evaluate
      measure all pretrained models on the 22 test records of MIT-BIH, in minutes; downloads the databases (100 MB)
  {prog} evaluate gru-detector --raw-dir ../mitdb --noise-dir ../nstdb
  {prog} evaluate outputs/models/detector --database folder --raw-dir my_records --part validation""",
    (("models", "MODEL", "*", "name of a model, or model folder (default: all pretrained models)"),),
)

_PREPARE = Verb(
    "prepare",
    "download or generate the records and cache their segments",
    NoOptions,
    (*_DATA_SETTINGS, "preset", "segment_samples", "window_samples"),
    """\
  {prog} prepare
      generate the synthetic records
  {prog} prepare --database mitdb
      download the MIT-BIH Arrhythmia Database (100 MB)
  {prog} prepare --database mitdb,qtdb,cinc2014 --raw-dir databases
      use several databases, each in a folder of its name in the folder databases
  {prog} prepare --database folder --raw-dir my_records --annotator qrs
      use a folder of WFDB records with annotations""",
)

_PLAN = Verb(
    "plan",
    "show the size, duration and disk space of a search",
    PlanOptions,
    _ALL_SETTINGS,
    """\
  {prog} plan --preset standard
      brackets, rungs, trials, epochs, disk space, and the duration from a short measurement
  {prog} plan --database mitdb --preset thorough --scheduler tcp://host:8786
      the same for the workers of a Dask cluster""",
)

_SEARCH = Verb(
    "search",
    "search the hyperparameters of one or both models",
    SearchOptions,
    _ALL_SETTINGS,
    """\
  {prog} search --preset quick
      search both models; run the same command again to resume an interrupted search
  {prog} search --database mitdb --preset standard --model-kind detector --output-dir mitdb-study
  {prog} search --preset standard --max-hours 8
      stop after eight hours; the report uses the best trials so far
  {prog} search --preset standard --output-dir second --warm-start mitdb-study
      try the best configurations of an earlier study first
  {prog} search --database folder --raw-dir my_records --preset standard --pretrained gru-detector,lstm-denoiser
      try the networks of these models first, from their weights
  {prog} search --preset thorough --scheduler tcp://host:8786
      train on the workers of a Dask cluster; docs/parallel.md explains how to start one""",
)

_WATCH = Verb(
    "watch",
    "show running searches in the browser",
    WatchOptions,
    ("output_dir",),
    """\
  {prog} watch
      progress, best trials and plots of the searches in outputs/, at an address that this machine alone can open; the
      page is loaded again every ten seconds; Ctrl-C ends
  {prog} watch --output-dir mitdb-study --port 8801""",
)

_REPORT = Verb(
    "report",
    "train the best models, evaluate them on the test records, and write the report",
    ReportOptions,
    _ALL_SETTINGS,
    """\
  {prog} report
      train the best model of each search and evaluate it on the test records
  {prog} report --noise-dir ../nstdb
      add results under recorded noise, and the noise stress test
  {prog} report --sections search,failures
      compute two sections again
  {prog} report --render
      write pages and plots again from report.json, in seconds""",
)

_RUN = Verb(
    "run",
    "prepare, search and report in one command",
    RunOptions,
    _ALL_SETTINGS,
    """\
  {prog} run
      a complete study on the synthetic database, in minutes
  {prog} run --database mitdb --raw-dir ../mitdb --preset quick --output-dir mitdb-study
  {prog} run --config outputs/settings.toml
      the same study again""",
)

_TRAIN = Verb(
    "train",
    "train one configuration for a number of segments, epochs or hours, into a model folder",
    TrainOptions,
    (*_DATA_SETTINGS, "preset", "segment_samples", "window_samples", "keras_layers", "output_dir"),
    """\
  {prog} train --model-kind detector --preset long --database mitdb --hours 6
      writes outputs/models/detector; run the same command again after a stop or a kill, and it resumes
  {prog} train --model-kind detector --preset long --database mitdb --segments 4000000 --ema 0.999
  {prog} train --model-kind denoiser --preset robust --from-search mitdb-study --epochs 100
      train the best trial of a search for longer
  {prog} train --model-kind detector --preset quick --hyperparameters layers=1,units_1=32,… --epochs 20""",
)

_COMPARE = Verb(
    "compare",
    "compare the reports of two studies",
    CompareOptions,
    (),
    """\
  {prog} compare first-study second-study
      metrics of both, with differences paired by record
  {prog} compare first-study second-study --output comparison.md""",
    (
        ("first", "A", None, "output folder of a study, or its report.json"),
        ("second", "B", None, "output folder of another study, or its report.json"),
    ),
)

_FINETUNE = Verb(
    "finetune",
    "train a model further on your own records",
    FineTuneOptions,
    (*_DATA_SETTINGS, "output_dir"),
    """\
  {prog} finetune gru-detector --database folder --raw-dir my_records --output-dir mine
      your annotated WFDB records of any sampling rate, split into training, validation and test records;
      writes mine/models/detector and its metrics before and after
  {prog} finetune outputs/models/denoiser --database folder --raw-dir my_records --output-dir mine --epochs 20""",
    (("model", "MODEL", None, "name of a model ('models' lists them) or model folder"),),
)

_EXPORT = Verb(
    "export",
    "write the trials of a study as an Optuna storage",
    ExportOptions,
    ("output_dir",),
    """\
  {prog} export
      write outputs/search/optuna.db for optuna-dashboard
  {prog} export --output-dir mitdb-study --storage trials.db --overwrite
      export another study, finished or not""",
)

GROUPS: dict[str, tuple[Verb, ...]] = {
    "use models (no study needed)": (_PREDICT, _MODELS, _EVALUATE),
    "run a study": (_PREPARE, _PLAN, _SEARCH, _WATCH, _REPORT, _RUN, _TRAIN),
    "after a study": (_COMPARE, _FINETUNE, _EXPORT),
}
"""The verbs, in the order of the help."""

VERBS = tuple(verb for verbs in GROUPS.values() for verb in verbs)
VERB_NAMES = tuple(verb.name for verb in VERBS)

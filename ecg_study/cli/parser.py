"""The command line's verbs and options, with examples; each verb's work is in `study.py`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence

from ecg_study.workflows.settings import add_options

EXAMPLES = {
    "data": """\
  python study.py data
      make the synthetic records and cache their segments
  python study.py data --database mitdb
      download the MIT-BIH Arrhythmia Database (100 MB) and cache its segments
  python study.py data --database folder --raw-dir my_records --annotator qrs
      any folder of WFDB records with annotations""",
    "plan": """\
  python study.py plan --preset standard
      brackets, rungs, trials, epochs, disk, and the time by a short measurement on this machine
  python study.py plan --database mitdb --preset full --scheduler tcp://host:8786
      the same for the workers of a Dask cluster""",
    "search": """\
  python study.py search --preset quick
      search both models; the same command again goes on where it was stopped
  python study.py search --database mitdb --preset standard --only detector --out mitdb-study
  python study.py search --preset standard --max-hours 8
      end after eight hours, with the best so far for the report
  python study.py search --preset standard --out second --warm-start mitdb-study
      try the best configurations of an earlier study first
  python study.py search --preset full --scheduler tcp://host:8786
      train on the workers of a Dask cluster; docs/workers.md shows how to start one""",
    "report": """\
  python study.py report
      retrain the best models of the searches and measure them on the test records
  python study.py report --noise-dir ../nstdb
      with real noise: electrode motion, muscle, baseline wander, and the noise stress test
  python study.py report --sections search,failures
      make two sections again, from what was measured before
  python study.py report --render
      pages and plots anew from report.json, in seconds""",
    "compare": """\
  python study.py compare first-study second-study
      figures of both, and whether they differ, record by record
  python study.py compare first-study second-study --write comparison.md""",
    "export": """\
  python study.py export
      write outputs/search/optuna.db, which optuna-dashboard opens; needs 'pip install optuna'
  python study.py export --out mitdb-study --storage trials.db --overwrite
      the searches of another study, finished or not, into a file of that name""",
    "predict": """\
  python study.py predict path/to/100
      R peaks of a WFDB record: outputs/predictions/100.beats.csv, 100.qrs (WFDB annotations), 100.beats.json
  python study.py predict path/to/100 --model lstm-denoiser
      the denoised record; 'study.py bundles' lists all models
  python study.py predict holter.edf --model outputs/models/denoiser --lead all --write wfdb,plot
      the denoised recording as a WFDB record, and a plot
  python study.py predict watch.csv --lead ecg_uV --time-column t
  python study.py predict chest.npy --fs 250 --gain 200
      samples in ADC units, 200 per mV
  python study.py predict recordings/ more/*.edf --out holter
      whole folders; unreadable files are reported, the others are processed, and the exit code is 2
  python study.py predict 100 103 --raw-dir data/raw/mitdb""",
    "bundles": """\
  python study.py bundles
      those that come with the project, and those of outputs/
  python study.py bundles --out mitdb-study""",
    "finetune": """\
  python study.py finetune outputs/models/detector --database folder --raw-dir my_records --out mine
      your WFDB records with annotations, of any rate: some train, some decide when to stop, some measure
      before and after; the new bundle is mine/models/detector
  python study.py finetune outputs/models/denoiser --database folder --raw-dir my_records --out mine --epochs 20""",
    "run": """\
  python study.py run
      data, search and report on the embedded synthetic database, in minutes
  python study.py run --database mitdb --raw-dir ../mitdb --preset quick --out mitdb-study
  python study.py run --config outputs/settings.toml
      the same study again""",
}

_DATA = ("database", "raw_dir", "noise_dir", "records", "lead", "annotator", "noise", "seed", "skip_bad", "data_dir")

USED: dict[str, tuple[str, ...]] = {
    "data": (*_DATA, "preset", "segment", "window"),
    "compare": (),
    "export": ("out",),
    "predict": ("out", "raw_dir", "lead"),
    "bundles": ("out",),
    "finetune": (*_DATA, "preset", "out"),
}
"""The settings that a verb has options for, where it does not use all."""


def build_parser(description: str, verbs: Sequence[Callable[..., int]]) -> argparse.ArgumentParser:
    """The parser of the whole command line.

    Args:
        description: of the program; its first line is shown.
        verbs: a function each, whose name is the verb and whose docstring's first line is its summary; it is found as
            ``verb`` in the result.
    """
    parser = argparse.ArgumentParser(
        prog="study.py",
        description=description.split("\n", maxsplit=1)[0],
        epilog="examples:\n" + EXAMPLES["run"] + "\n\n'study.py VERB --help' has more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for function in verbs:
        name = function.__name__
        summary = (function.__doc__ or "").split("\n", maxsplit=1)[0]
        verb = subparsers.add_parser(
            name,
            help=summary,
            description=summary,
            epilog="examples:\n" + EXAMPLES[name],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.set_defaults(verb=function)
        if name in ("search", "run"):
            fresh = "set an earlier search of the same --out aside (renamed, not deleted) and begin anew"
            verb.add_argument("--fresh", action="store_true", help=fresh)
        if name == "report":
            _add_report_options(verb)
        if name in ("plan", "search"):
            verb.add_argument("--only", choices=("denoiser", "detector"), help="this model alone")
        if name == "compare":
            verb.add_argument("first", metavar="A", help="output folder of a study, or its report.json")
            verb.add_argument("second", metavar="B", help="likewise")
            verb.add_argument("--write", metavar="FILE", help="write the comparison as markdown, too")
        if name == "export":
            verb.add_argument("--storage", metavar="FILE", help="file to write (default: OUT/search/optuna.db)")
            verb.add_argument("--overwrite", action="store_true", help="replace a storage that exists")
        if name == "finetune":
            verb.add_argument("bundle", metavar="BUNDLE", help="folder of a bundle, or its name")
            verb.add_argument("--epochs", type=_whole, default=8, metavar="N", help="the most epochs (default: 8)")
            rate = "of Adam (default: a tenth of that of the first training)"
            verb.add_argument("--learning-rate", type=_number(0, "rate above 0"), metavar="RATE", help=rate)
        if name == "predict":
            _add_predict_options(verb)
        add_options(verb, USED.get(name))
    return parser


def _sections(text: str) -> tuple[str, ...]:
    from ecg_study.workflows.report import SECTIONS

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in SECTIONS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{(unknown or [text])[0]!r} is no section; choose from {', '.join(SECTIONS)}")
    return names


def _add_report_options(verb: argparse.ArgumentParser) -> None:
    which = verb.add_mutually_exclusive_group()
    which.add_argument(
        "--sections",
        type=_sections,
        metavar="A,B,…",
        help="make these again (search, denoiser, detector, stress, failures) and take the rest from the report there",
    )
    which.add_argument("--render", action="store_true", help="compute nothing: draw and write report.json anew")


def _outputs(text: str) -> tuple[str, ...]:
    from ecg_study.prediction.outputs import FORMATS

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        problem = f"{(unknown or [text])[0]!r} is not written; choose from {', '.join(FORMATS)}"
        raise argparse.ArgumentTypeError(problem)
    return names


def _whole(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _number(least: float, what: str) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value <= least:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
        return value

    return convert


def _add_predict_options(verb: argparse.ArgumentParser) -> None:
    from ecg_study.inference.loading import DEFAULT_MODEL

    verb.add_argument(
        "recordings",
        metavar="RECORDING",
        nargs="+",
        help="WFDB records, .edf, .bdf, .csv, .npy, folders of them, or names of records in --raw-dir; an unreadable "
        "file is reported and the others are processed",
    )
    verb.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="NAME", help=f"model folder or name (default: {DEFAULT_MODEL})"
    )
    verb.add_argument(
        "--write",
        type=_outputs,
        default=("csv", "wfdb", "json"),
        metavar="A,B,…",
        help="csv: one row a beat, or a sample of the denoised signal; samples: one row a sample with R_peak; wfdb: "
        "annotations, or the denoised record; json: a summary; plot: a picture (default: csv,wfdb,json)",
    )
    verb.add_argument("--overwrite", action="store_true", help="replace results that exist")
    verb.add_argument(
        "--engine", choices=("onnx", "keras"), help="what runs the model (default: ONNX Runtime where it is installed)"
    )
    group = verb.add_argument_group("what a file does not tell of itself")
    group.add_argument("--fs", type=_number(0, "sampling rate in Hz"), metavar="HZ", help="sampling rate of .csv, .npy")
    group.add_argument("--time-column", default="", metavar="NAME", help="column of a table that has the time")
    group.add_argument("--units", default="", choices=("mV", "uV", "V"), help="unit of .csv, .npy (default: mV)")
    group.add_argument("--gain", type=_number(0, "gain above 0"), metavar="N", help="ADC units in a mV, in .csv, .npy")
    group.add_argument(
        "--baseline", type=_number(-math.inf, "number"), metavar="N", help="ADC units at 0 mV (default: 0)"
    )

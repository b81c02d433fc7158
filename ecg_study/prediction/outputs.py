"""From a file to its results: which are written, where, and whether they may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.readers.opening import ENDINGS, find_recordings, open_recording
from ecg_study.ecg_data.readers.recording import ReadOptions
from ecg_study.errors import EcgStudyError
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector
from ecg_study.inference.loading import DEFAULT_MODEL, PRETRAINED_DIR, list_models
from ecg_study.models.card import CARD_FILE
from ecg_study.prediction.csv_files import write_beats_csv, write_samples_csv
from ecg_study.prediction.recordings import DenoisedRecording, DetectedRecording, cleaned, detect_recording
from ecg_study.prediction.summary import summarize_denoising, summarize_detection, write_summary
from ecg_study.prediction.wfdb_files import ANNOTATOR, wfdb_name, write_annotations, write_record
from ecg_study.progress import Progress

DETECTOR_OUTPUTS = {
    "csv": "beats.csv",
    "samples": "samples.csv",
    "wfdb": ANNOTATOR,
    "json": "beats.json",
    "plot": "beats.png",
}
"""Endings of what is written of R peaks."""

DENOISER_OUTPUTS = {
    "csv": "denoised.csv",
    "wfdb": "hea",
    "json": "denoised.json",
    "plot": "denoised.png",
}
"""Endings of what is written of a cleaned signal; the WFDB record bears its own name."""

OUTPUTS = tuple(DETECTOR_OUTPUTS)
USUAL_OUTPUTS = ("csv", "wfdb", "json")


@dataclass(frozen=True)
class Written:
    """What was written of one recording.

    Attributes:
        line: what was found, for a person.
        paths: the files.
    """

    line: str
    paths: tuple[Path, ...]


def bundle_and_recordings(names: Sequence[str], raw_dir: str, made: Path) -> tuple[str, Sequence[str]]:
    """Which bundle is named before the recordings; the default one where none is.

    A first name that is neither is refused, so that a misspelt bundle is never replaced by another.

    Args:
        names: as they were given.
        raw_dir: folder of records that may be named alone; empty for none.
        made: where studies put their bundles.

    Raises:
        StudyError: the first name is neither, or no recording is named.
    """
    first = names[0]
    if _is_model(first, made):
        if len(names) == 1:
            raise EcgStudyError(f"{first}: a bundle; name a recording behind it")
        return first, names[1:]
    if not _recording_is_there(_named(first, raw_dir)):
        at_hand = ", ".join(found.name for found in list_models(made))
        raise EcgStudyError(f"{first}: neither a recording nor a bundle; bundles at hand: {at_hand or 'none'}")
    return DEFAULT_MODEL, names


def _is_model(name: str, made: Path) -> bool:
    return any((place / name / CARD_FILE).is_file() for place in (Path(), PRETRAINED_DIR, made))


def _named(name: str, raw_dir: str) -> Path:
    """The path that is meant: as given, or in ``raw_dir``."""
    path = Path(name)
    if raw_dir and not _recording_is_there(path) and path.name == name:
        return Path(raw_dir) / name
    return path


def _recording_is_there(path: Path) -> bool:
    return path.exists() or path.with_name(path.name + ".hea").exists()


def named_recordings(names: Sequence[str], raw_dir: str) -> Iterator[Path]:
    """Recordings as they were named: paths, folders, or names of records in ``raw_dir``, where one is given."""
    for name in names:
        path = _named(name, raw_dir)
        try:
            yield from find_recordings(path)
        except EcgStudyError:
            yield path  # opening it says what is wrong


def check_free(paths: Iterable[Path], recording: Path, written: Mapping[Path, Path], overwrite: bool) -> None:
    """Refuse to write over what is there, or over what was just written for another recording.

    Args:
        paths: to be written.
        recording: for which.
        written: what was written in this run, and for which recording.
        overwrite: whether what was there before may be replaced.

    Raises:
        StudyError: a path is taken.
    """
    for path in paths:
        if path in written:
            raise EcgStudyError(f"{recording}: {path} was just written for {written[path]}; use another --out")
        if path.exists() and not overwrite:
            raise EcgStudyError(f"{path}: exists; give --overwrite to replace it, or another --out")


def output_paths(directory: Path, recording: Path, task: str, outputs: Sequence[str]) -> dict[str, Path]:
    """Where the results of a recording are written, for each of ``outputs``.

    Raises:
        StudyError: one of them is not made by such a model.
    """
    endings = DETECTOR_OUTPUTS if task == "detector" else DENOISER_OUTPUTS
    unknown = [name for name in outputs if name not in endings]
    if unknown:
        raise EcgStudyError(f"--write: a {task} makes no {unknown[0]!r}; choose from {', '.join(endings)}")
    name = recording.name if recording.suffix.lower() not in ENDINGS else recording.stem
    paths = {output: directory / f"{name}.{endings[output]}" for output in outputs}
    if "wfdb" in paths:
        plain = wfdb_name(name)
        paths["wfdb"] = directory / (f"{plain}.{ANNOTATOR}" if task == "detector" else f"{plain}_denoised.hea")
    return paths


def predict_file(
    model: Detector | Denoiser,
    bundle: str,
    path: Path,
    reading: ReadOptions,
    paths: dict[str, Path],
    on_progress: Progress | None = None,
) -> Written:
    """Apply a model to a file and write what it gives.

    Args:
        model: the detector or denoiser.
        bundle: its name, for the summary.
        path: the recording.
        reading: what the file does not tell of itself.
        paths: of `output_paths`.
        on_progress: called with the number of samples done; the total is 0 if it is unknown.

    Raises:
        RecordError: the recording cannot be read.
    """
    recording = open_recording(path, reading)
    if isinstance(model, Detector):
        return _write_beats(detect_recording(model, recording, on_progress), bundle, model.runtime.name, paths)
    directory = next(iter(paths.values())).parent
    with cleaned(model, recording, directory, on_progress) as result:
        return _write_cleaned(result, bundle, model.runtime.name, paths)


def _write_beats(beats: DetectedRecording, bundle: str, engine: str, paths: dict[str, Path]) -> Written:
    summary = summarize_detection(beats, bundle, engine)
    if "csv" in paths:
        write_beats_csv(paths["csv"], beats)
    if "samples" in paths:
        write_samples_csv(paths["samples"], beats)
    if "wfdb" in paths:
        write_annotations(paths["wfdb"], beats)
    if "plot" in paths:
        from ecg_study.prediction.plots import plot_detection

        plot_detection(paths["plot"], beats)
    if "json" in paths:
        write_summary(paths["json"], summary)
    rate = f", {summary.mean_rate_bpm:.0f} beats/min" if summary.mean_rate_bpm else ""
    lost = f", {summary.unusable_share:.1%} of the signal unusable" if summary.unusable_share else ""
    return Written(f"{summary.beats:,} R peaks{rate}{lost}", tuple(paths.values()))


def _write_cleaned(result: DenoisedRecording, bundle: str, engine: str, paths: dict[str, Path]) -> Written:
    summary = summarize_denoising(result, bundle, engine)
    if "csv" in paths:
        write_samples_csv(paths["csv"], result)
    if "wfdb" in paths:
        write_record(paths["wfdb"], result)
    if "plot" in paths:
        from ecg_study.prediction.plots import plot_denoising

        plot_denoising(paths["plot"], result)
    if "json" in paths:
        write_summary(paths["json"], summary)
    lost = f", {summary.unusable_share:.1%} unusable and left as it was" if summary.unusable_share else ""
    leads = "1 lead" if len(summary.leads) == 1 else f"{len(summary.leads)} leads"
    return Written(f"{leads} of {summary.duration_s:,.0f} s cleaned{lost}", tuple(paths.values()))

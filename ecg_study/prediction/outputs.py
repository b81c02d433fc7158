"""Result files of a model: formats, file names, and protection of existing files."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ecg_study.ecg_data.readers.opening import find_recordings, open_recording, recording_name
from ecg_study.ecg_data.readers.recording import ReadOptions
from ecg_study.errors import EcgStudyError, InputError, SettingsError
from ecg_study.files import make_directory, remove_abandoned, writing_together
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.detector import Detector
from ecg_study.models.card import DETECTOR, ModelKind
from ecg_study.prediction.csv_files import write_beats_csv, write_samples_csv
from ecg_study.prediction.recordings import DenoisedRecording, DetectedRecording, denoise_recording, detect_recording
from ecg_study.prediction.summary import summarize_denoising, summarize_detection, write_summary
from ecg_study.prediction.wfdb_files import ANNOTATOR, wfdb_name, write_annotations, write_record
from ecg_study.progress import Progress

DETECTOR_FORMATS = {
    "csv": "beats.csv",
    "samples": "samples.csv",
    "wfdb": ANNOTATOR,
    "json": "beats.json",
    "plot": "beats.png",
}
"""Output format of a detector → file name ending."""

DENOISER_FORMATS = {
    "csv": "denoised.csv",
    "wfdb": "hea",
    "json": "denoised.json",
    "plot": "denoised.png",
}
"""Output format of a denoiser → file name ending. The WFDB record has a name of its own."""

FORMATS = tuple(DETECTOR_FORMATS)
DEFAULT_FORMATS = ("csv", "wfdb", "json")


@dataclass(frozen=True)
class Prediction:
    """Outcome of a model for one recording.

    Attributes:
        recording: Path of the recording.
        description: Result in one line; empty after an error.
        paths: Files that were written.
        error: Reason if the recording could not be processed.
    """

    recording: Path
    description: str = ""
    paths: tuple[Path, ...] = ()
    error: EcgStudyError | None = None


def find_named_recordings(names: Iterable[str], raw_dir: Path | None = None) -> Iterator[Path]:
    """Yield the paths of the recordings with these names.

    A name is a path, a folder of recordings, or a record of ``raw_dir``. A name without a recording is yielded as
    it is, so that opening it gives the error.

    Raises:
        SettingsError: ``raw_dir`` is not a folder.
    """
    if raw_dir is not None and not raw_dir.is_dir():
        raise SettingsError("raw_dir", f"{raw_dir} is not a folder", value=str(raw_dir))
    for name in names:
        path = Path(name)
        if raw_dir is not None and path.name == name and not _exists(path):
            path = raw_dir / name
        try:
            yield from find_recordings(path)
        except EcgStudyError:
            yield path


def _exists(path: Path) -> bool:
    return path.exists() or path.with_name(path.name + ".hea").exists()


def predict_recordings(
    model: Detector | Denoiser,
    recordings: Iterable[Path],
    *,
    model_name: str,
    directory: Path,
    formats: Sequence[str] = DEFAULT_FORMATS,
    read_options: ReadOptions | None = None,
    min_confidence: float | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    on_progress: Progress | None = None,
) -> Iterator[Prediction]:
    """Apply a model to recordings and write the results.

    An error in one recording does not affect the others. The files of a recording are written completely or not at
    all, as a set.

    Args:
        model: Detector or denoiser.
        recordings: Paths of the recordings.
        model_name: Name of the model for the summary.
        directory: Folder of the results.
        formats: Output formats; see ``DETECTOR_FORMATS`` and ``DENOISER_FORMATS``.
        read_options: Lead to read, and metadata that the files lack; default: the usual lead.
        min_confidence: Lowest confidence of the R peaks that are written, 0 to 1 (default: all); only for a detector.
        overwrite: Whether to replace existing files.
        skip_existing: Whether to leave out a recording that has all its files in the folder, as after a stop.
        on_progress: Callback, called with the name of a recording, the samples that are done, and their total.

    Yields:
        The outcome for each recording.

    Raises:
        SettingsError: The model does not have one of the formats.
        InputError: The folder of the results cannot be used, or the model has no confidences.
    """
    check_formats(formats, model.card.model_kind)
    if min_confidence is not None and not isinstance(model, Detector):
        problem = f"min_confidence: {model_name} is a denoiser, which finds no R peaks; choose a detector"
        raise InputError(problem, parameters=("min_confidence",))
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    make_directory(directory)
    remove_abandoned(directory)
    written: dict[Path, Path] = {}
    try:
        for recording in recordings:
            try:
                paths = output_paths(recording, formats, model_kind=model.card.model_kind, directory=directory)
                if skip_existing and all(path.is_file() and path not in written for path in all_files(paths)):
                    yield Prediction(recording, "skipped, its results exist", tuple(paths.values()))
                    continue
                check = functools.partial(check_free, all_files(paths), recording, written=written, overwrite=overwrite)
                check()
                # All files of a recording get their names together, and only if they are still free.
                with writing_together(directory, check=check):
                    description = _predict(
                        model,
                        recording,
                        model_name,
                        paths,
                        read_options or ReadOptions(),
                        min_confidence=min_confidence or 0.0,
                        on_progress=on_progress,
                    )
            except EcgStudyError as error:
                yield Prediction(recording, error=error)
                continue
            written |= dict.fromkeys(all_files(paths), recording)
            yield Prediction(recording, description, tuple(paths.values()))
    finally:
        for folder in missing:  # those that were created for nothing
            with suppress(OSError):
                folder.rmdir()


def check_formats(formats: Sequence[str], model_kind: ModelKind) -> None:
    """Check the output formats.

    Raises:
        SettingsError: A model of this kind does not have one of the formats.
    """
    available = _endings(model_kind)
    unknown = [name for name in formats if name not in available]
    if unknown:
        problem = f"a {model_kind} has no format {unknown[0]!r}; use {', '.join(available)}"
        raise SettingsError("formats", problem, value=tuple(formats))


def output_paths(recording: Path, formats: Sequence[str], *, model_kind: ModelKind, directory: Path) -> dict[str, Path]:
    """Return the result file of a recording for each output format."""
    endings = _endings(model_kind)
    name = recording_name(recording)
    paths = {output: directory / f"{name}.{endings[output]}" for output in formats}
    if "wfdb" in paths:
        plain = wfdb_name(name)
        paths["wfdb"] = directory / (f"{plain}.{ANNOTATOR}" if model_kind == DETECTOR else f"{plain}_denoised.hea")
    return paths


def all_files(paths: Mapping[str, Path]) -> list[Path]:
    """Return the result files of `output_paths`, with the signal file of a WFDB header."""
    return [*paths.values(), *(path.with_suffix(".dat") for path in paths.values() if path.suffix == ".hea")]


def _endings(model_kind: ModelKind) -> dict[str, str]:
    return DETECTOR_FORMATS if model_kind == DETECTOR else DENOISER_FORMATS


def check_free(paths: Iterable[Path], recording: Path, *, written: Mapping[Path, Path], overwrite: bool) -> None:
    """Check that the results of a recording do not replace other files.

    Args:
        paths: Files to write.
        recording: Recording of these results.
        written: Files of this run, each with its recording.
        overwrite: Whether files of earlier runs may be replaced.

    Raises:
        InputError: A file exists, or a folder has the name of a file.
    """
    for path in paths:
        if path in written:
            problem = f"{path} already has the results of {written[path]}; choose another output folder"
            raise InputError(f"{recording}: {problem}")
        if path.is_dir():
            raise InputError(f"{path}: a folder has this name; remove it, or choose another output folder")
        if path.exists() and not overwrite:
            problem = "exists; pass overwrite, or choose another output folder"
            raise InputError(f"{path}: {problem}", parameters=("overwrite",))


def _predict(
    model: Detector | Denoiser,
    path: Path,
    model_name: str,
    paths: dict[str, Path],
    read_options: ReadOptions,
    *,
    min_confidence: float,
    on_progress: Progress | None,
) -> str:
    """Apply a model to one recording, write the results, and describe them in one line."""
    recording = open_recording(path, read_options)
    if isinstance(model, Detector):
        detected = detect_recording(model, recording, min_confidence=min_confidence, on_progress=on_progress)
        return _write_detection(detected, model_name, model.runtime.name, paths)
    directory = next(iter(paths.values())).parent
    with denoise_recording(model, recording, directory=directory, on_progress=on_progress) as denoised:
        return _write_denoising(denoised, model_name, model.runtime.name, paths)


def _write_detection(detected: DetectedRecording, model_name: str, runtime: str, paths: dict[str, Path]) -> str:
    summary = summarize_detection(detected, model_name=model_name, runtime=runtime)
    if "csv" in paths:
        write_beats_csv(paths["csv"], detected)
    if "samples" in paths:
        write_samples_csv(paths["samples"], detected)
    if "wfdb" in paths:
        write_annotations(paths["wfdb"], detected)
    if "plot" in paths:
        from ecg_study.prediction.plots import plot_detection

        plot_detection(paths["plot"], detected)
    if "json" in paths:
        write_summary(paths["json"], summary)
    rate = f", {summary.mean_rate_bpm:.0f} beats/min" if summary.mean_rate_bpm else ""
    unusable = f", {summary.unusable_share:.1%} of the signal unusable" if summary.unusable_share else ""
    unsure = f", {summary.unsure_beats:,} unsure ones left out" if summary.unsure_beats else ""
    peaks = "1 R peak" if summary.beats == 1 else f"{summary.beats:,} R peaks"
    return f"{peaks}{unsure}{rate}{unusable}"


def _write_denoising(denoised: DenoisedRecording, model_name: str, runtime: str, paths: dict[str, Path]) -> str:
    summary = summarize_denoising(denoised, model_name=model_name, runtime=runtime)
    if "csv" in paths:
        write_samples_csv(paths["csv"], denoised)
    if "wfdb" in paths:
        write_record(paths["wfdb"], denoised)
    if "plot" in paths:
        from ecg_study.prediction.plots import plot_denoising

        plot_denoising(paths["plot"], denoised)
    if "json" in paths:
        write_summary(paths["json"], summary)
    unusable = f", {summary.unusable_share:.1%} unusable and unchanged" if summary.unusable_share else ""
    leads = "1 lead" if len(summary.leads) == 1 else f"{len(summary.leads)} leads"
    known = [value for value in summary.median_snr_db or () if value is not None]
    shown = " and ".join(f"{value:.0f}" for value in known)
    if len(known) > 2:
        shown = f"{min(known):.0f} to {max(known):.0f}"
    snr = f", estimated SNR {shown} dB" if known else ""
    return f"{leads} of {summary.duration_s:,.{int(summary.duration_s < 10)}f} s denoised{snr}{unusable}"

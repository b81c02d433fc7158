"""The headline figures of bundles, from the raw records, in minutes.

    make figures                                              (downloads both databases, 100 MB, the first time)
    make figures ARGS="--raw-dir ../mitdb --noise-dir ../nstdb"
    python -m benchmarks.figures --raw-dir ../mitdb --noise-dir ../nstdb --records 100,105
    python -m benchmarks.figures --part validation --bundles outputs/models/detector --raw-dir … --noise-dir …

By the protocol of docs/protocol.md. On test records unless told: those of validation serve to choose, with noise for
validation; test records serve to measure what was chosen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.catalog import open_database
from ecg_study.ecg_data.databases.splits import DS2, MITDB_VALIDATION, TEST, VALIDATION, Part
from ecg_study.ecg_data.noise import NOISE_TYPES, gaussian_noise
from ecg_study.ecg_data.noise_records import NoiseRecords, find_noise_directory, open_noise_records
from ecg_study.ecg_data.noise_stress import add_electrode_motion
from ecg_study.ecg_data.readers.recording import ALL_LEADS
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.errors import EcgStudyError
from ecg_study.evaluation.cached_models import CachedModel
from ecg_study.evaluation.experiments.noise_stress import published_leads
from ecg_study.evaluation.experiments.noise_types import LEVELS, noisy_segments
from ecg_study.evaluation.experiments.pauses import false_peaks, with_pauses
from ecg_study.evaluation.experiments.r_peaks import LEARNING, match
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.evaluation.metrics import confusion, denoising, denoising_table, pooled_f1
from ecg_study.evaluation.morphology import FALSE_ST, moved_waves
from ecg_study.evaluation.results.values import TOLERANCES_MS
from ecg_study.inference.loading import find_model, list_models
from ecg_study.models.folder import SavedModel, open_model
from ecg_study.result_cache import ResultCache

SIGMA, SEED = 0.05, 1
_STRESS = (12, 6, 0, -6)


@dataclass(frozen=True)
class Figure:
    """One figure of one bundle."""

    bundle: str
    name: str
    value: str


@dataclass(frozen=True)
class Records:
    """What is measured on.

    Attributes:
        part: ``test`` or ``validation``.
        leads: whole leads, with the Gaussian noise of the default study.
        both: every lead of each record as recorded, in mV, shape ``(samples, leads)``.
        noise: the noise records.
        stressed: whether 118 and 119 of the noise stress test are measured.
    """

    part: Part
    leads: list[EvaluationLead]
    both: list[np.ndarray]
    noise: NoiseRecords
    stressed: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every bundle, and print a line for each figure."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", maxsplit=1)[0],
        epilog="examples:\n" + "\n".join((__doc__ or "").split("\n")[2:6]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--raw-dir", default="", help="folder of the MIT-BIH Arrhythmia Database; downloaded else")
    parser.add_argument(
        "--noise-dir", default="", help="folder of the MIT-BIH Noise Stress Test Database; downloaded else"
    )
    parser.add_argument("--data-dir", default="data", type=Path, help="where downloads are kept (default: data)")
    parser.add_argument("--bundles", default="", help="folders or names, separated by commas (default: those shipped)")
    parser.add_argument("--records", default="", help="some of the records alone, without the noise stress test")
    parser.add_argument("--part", choices=(TEST, VALIDATION), default=TEST, help="(default: test)")
    options = parser.parse_args(arguments)
    try:
        names = [name for name in options.bundles.split(",") if name] or shipped()
        chosen = tuple(name for name in options.records.split(",") if name)
        raw = Path(options.raw_dir) if options.raw_dir else None
        database = open_database("mitdb", data_dir=options.data_dir, raw_dir=raw)
        noise = find_noise_directory(
            database,
            raw_dir=options.raw_dir,
            noise_dir=options.noise_dir,
            data_dir=options.data_dir,
            required=True,
        )
        assert noise is not None
        records = open_records(database.directory, noise, options.part, chosen)
        for name in names:
            for figure in measure(name, open_model(find_model(name)), records):
                print(f"{figure.bundle:24} {figure.name:44} {figure.value}", flush=True)
    except EcgStudyError as error:
        print(f"figures: error: {error}", file=sys.stderr)
        return 2
    return 0


def shipped() -> list[str]:
    """Names of the bundles that come with the project."""
    return [found.name for found in list_models(Path("nowhere"))]


def open_records(
    raw_dir: Path, noise_dir: Path, part: Part, chosen: Sequence[str], known: Sequence[str] = ()
) -> Records:
    """Read the records of a part, or those chosen of it.

    Args:
        raw_dir: folder of the records.
        noise_dir: folder of the noise records.
        part: whose noise is taken.
        chosen: some of the records; all unless told.
        known: the records of the part; those of every study unless told.

    Raises:
        StudyError: one is not of this part, or cannot be read.
    """
    known = known or (DS2 if part == TEST else MITDB_VALIDATION)
    if unknown := [name for name in chosen if name not in known]:
        raise EcgStudyError(
            f"--records: {', '.join(unknown)}: not among the {part} records; choose of {', '.join(known)}"
        )
    leads, both = [], []
    for name in chosen or known:
        record = read_record(raw_dir / name, lead="auto")
        clean = np.ascontiguousarray(record.signal[:, 0])
        noisy = clean + gaussian_noise(len(clean), sigma_mv=SIGMA, seed=SEED, record=name, lead=record.leads[0])
        leads.append(
            EvaluationLead(name, record.leads[0], record.fs, clean, noisy, record.r_peaks, record.excluded_intervals)
        )
        both.append(read_record(raw_dir / name, lead=ALL_LEADS, annotator=None).signal)
    return Records(part, leads, both, open_noise_records(noise_dir), part == TEST and not chosen)


def measure(name: str, bundle: SavedModel, records: Records) -> Iterator[Figure]:
    """Every figure of one bundle."""
    card = bundle.card
    if card.fs != records.leads[0].fs:
        raise EcgStudyError(f"{name}: of {card.fs:g} Hz, the records have {records.leads[0].fs:g}")
    with tempfile.TemporaryDirectory() as folder:
        store, removed = ResultCache(Path(folder)), card.baseline_wander == "removed"
        model = CachedModel(
            bundle.model,
            card.fs,
            card.segment_samples,
            card.window_samples,
            card.refractory_period,
            store,
            card.polarity,
            removed,
        )
        yield Figure(name, "weights", f"{card.parameters:,}")
        yield from measure_model(name, model, card.thresholds, records)


def measure_model(name: str, model: CachedModel, thresholds: Mapping[str, float], records: Records) -> Iterator[Figure]:
    """Every figure of a model that is applied as a bundle of it would be.

    Args:
        name: for the figures.
        model: detector or denoiser.
        thresholds: of a detector; empty for a denoiser.
        records: what is measured on.
    """
    if thresholds:
        yield from _detector(name, model, thresholds, records)
    else:
        yield from _denoiser(name, model, records)


def _detector(name: str, model: CachedModel, thresholds: Mapping[str, float], records: Records) -> Iterator[Figure]:
    limit = thresholds["r_peak"]
    for kind in ("as recorded", f"Gaussian {SIGMA} mV"):
        tables: dict[int, list[tuple[int, int, int]]] = {ms: [] for ms in TOLERANCES_MS}
        windows = []
        for lead in records.leads:
            found = model.detect(lead.clean if kind == "as recorded" else lead.noisy)
            for ms, table in tables.items():
                table.append(match(lead, found.r_peaks(limit), ms, 0.0).table)
            labels, scored = lead.window_labels(model.window)
            counted = confusion(labels[scored], found.window_scores[scored] >= thresholds["window"]).counts
            windows.append((counted.true_positives, counted.false_negatives, counted.false_positives))
        for ms, table in tables.items():
            yield Figure(name, f"R peaks, {kind}: F1 within {ms} ms", _percent(table))
        yield Figure(name, f"windows, {kind}: F1", _percent(windows))
    yield from _both_leads(name, model, limit, records)
    yield from _pauses(name, model, limit, records)
    for snr in _STRESS:
        each = []
        for lead, signal in _stressed(records, snr):
            each.append(match(lead, model.detect(signal).r_peaks(limit), TOLERANCES_MS[0], LEARNING).table)
        if each:
            what = "118e, 119e" if records.part == TEST else "em added"
            yield Figure(name, f"noise stress, {what}, {snr} dB: F1", _percent(each))


def _both_leads(name: str, model: CachedModel, limit: float, records: Records) -> Iterator[Figure]:
    """All leads of each record together, as `Detector.r_peaks` takes them."""
    found = [model.detect_together(signal, limit) for signal in records.both]
    for ms in TOLERANCES_MS:
        each = [match(lead, peaks, ms, 0.0).table for lead, peaks in zip(records.leads, found, strict=True)]
        yield Figure(name, f"R peaks, both leads together: F1 within {ms} ms", _percent(each))


def _pauses(name: str, model: CachedModel, limit: float, records: Records) -> Iterator[Figure]:
    """What is taken for a beat in pauses that are made in the recordings (see `experiments.pauses`)."""
    count, recorded, noisy = 0, 0, 0
    for lead in records.leads:
        made, pauses = with_pauses(lead, SIGMA, SEED)
        count += len(pauses)
        recorded += false_peaks(model.detect(made.clean).r_peaks(limit), pauses)
        noisy += false_peaks(model.detect(made.noisy).r_peaks(limit), pauses)
    for kind, false in (("as recorded", recorded), (f"Gaussian {SIGMA} mV", noisy)):
        yield Figure(name, f"pauses made, {kind}: false peaks", f"{false} in {count} pauses")


def _stressed(records: Records, snr: int) -> Iterator[tuple[EvaluationLead, np.ndarray]]:
    """Leads with electrode motion: the published records for tests; ours, with their noise over and over, else."""
    if records.part == TEST:
        for lead in published_leads(records.noise, snr) if records.stressed else ():
            yield lead, lead.noisy
        return
    for lead in records.leads:
        source = records.noise.source(VALIDATION, fs=lead.fs)
        yield lead, add_electrode_motion(lead.clean, lead.r_peaks, source=source, fs=lead.fs, snr_db=snr)


def _denoiser(name: str, model: CachedModel, records: Records) -> Iterator[Figure]:
    rows, levels = [], []
    for lead in records.leads:
        reference, denoised = model.reference(lead.clean), model.denoise(lead.noisy)
        found = denoising(reference, lead.noisy, denoised, lead.fs)
        rows.append((found.mae, found.rmse))
        moved = moved_waves(reference, {name: denoised}, lead.r_peaks, lead.fs, lead.excluded_intervals)
        levels += [waves.st_level for waves in moved.values()]
    mae, rmse = np.mean(rows, axis=0)
    against = "recording without drift" if model.removes_baseline_wander else "recording"
    yield Figure(name, f"Gaussian {SIGMA} mV: MAE / RMSE in mV", f"{mae:.4f} / {rmse:.4f} (against the {against})")
    false = np.mean(np.abs(np.concatenate(levels)) >= FALSE_ST)
    yield Figure(name, f"Gaussian {SIGMA} mV: ST moved by {FALSE_ST} mV or more", f"{100 * false:.1f} % of beats")
    for kind in NOISE_TYPES:
        gains = []
        for snr in LEVELS:
            each = []
            for lead in records.leads:
                clean, noisy = noisy_segments(lead, records.noise, records.part, kind, snr, SEED, model.segment)
                each.append(
                    np.mean(denoising_table(clean, noisy, model.runtime.run(noisy), lead.fs)["snr_improvement"])
                )
            gains.append(f"{round(float(np.mean(each)), 1) + 0.0:.1f}")  # no -0.0
        yield Figure(name, f"{kind}: SNR gained at {' / '.join(map(str, LEVELS))} dB", " / ".join(gains))


def _percent(table: Sequence[tuple[int, int, int]]) -> str:
    return f"{100 * pooled_f1(np.array(table)):.2f} %"


if __name__ == "__main__":
    sys.exit(main())

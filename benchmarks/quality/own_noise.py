"""Noise that recordings hold themselves: ``python -m benchmarks.quality.own_noise MODEL --raw-dir ...``.

Under the protocol "denoising without harm", the noise of a recording counts as signal, so removing it is an error. For
each database and input SNR of the mixture of noises, the mean over validation records of the decibels above the
high-pass of the reference is printed twice: against the recording, as in the protocol; and against what the model makes
of the recording without added noise, where noise of the recording that it always removes is no error, and neither is
ECG. The records of the synthetic database hold no noise, so there only ECG can be removed. The last line of each
database is the power of what the model changes without added noise, relative to that of the recording. No test record
of a real database is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.catalog import open_database
from ecg_study.ecg_data.databases.facts import JOINABLE
from ecg_study.ecg_data.databases.splits import VALIDATION
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import MIX
from ecg_study.ecg_data.noise_records import NoiseRecords
from ecg_study.evaluation.experiments.harm import HARM_LEVELS, noise_for_lead
from ecg_study.evaluation.leads import EvaluationLead, databases_of, rows_of
from ecg_study.inference.denoiser import Denoiser
from ecg_study.inference.loading import load_denoiser
from ecg_study.workflows.evaluate import open_records


def main() -> None:
    """Measure, and print the lines of each database."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":", maxsplit=1)[0])
    parser.add_argument("model", help="name or folder of a denoiser with a high-pass before the network")
    parser.add_argument("--raw-dir", type=Path, required=True, help="folder with a folder for each database")
    parser.add_argument("--noise-dir", type=Path, required=True, help="folder of the noise stress test database")
    parser.add_argument("--seed", type=int, default=1, help="seed of the noise (default: 1)")
    options = parser.parse_args()
    denoiser = load_denoiser(options.model)
    print("dB above the high-pass, mixture of noises at " + " / ".join(map(str, HARM_LEVELS)) + " dB")
    for title, leads, noise in databases(options.raw_dir, options.noise_dir, fs=denoiser.card.fs):
        measured = [decompose(denoiser, lead, noise, seed=[options.seed, number]) for number, lead in enumerate(leads)]
        against_recording, against_output, changed = (np.array(values) for values in zip(*measured, strict=True))
        print(f"{title}, {len(leads)} records")
        print(f"  against the recording:               {_row(against_recording.mean(axis=0))}")
        print(f"  against the output without noise:    {_row(against_output.mean(axis=0))}")
        print(f"  changed without noise, dB of power:  {10 * np.log10(changed.mean()):.1f}", flush=True)


def databases(
    raw_dir: Path, noise_dir: Path, *, fs: float
) -> Iterator[tuple[str, Sequence[EvaluationLead], NoiseRecords]]:
    """Yield the title, the leads and the noise of each database."""
    joined = open_records(
        open_database(",".join(JOINABLE), raw_dir=raw_dir), part=VALIDATION, noise_dir=noise_dir, fs=fs
    )
    assert joined.noise is not None
    names = [lead.record for lead in joined.leads]
    for name in databases_of(names):
        yield name, [joined.leads[row] for row in np.arange(len(names))[rows_of(names, database=name)]], joined.noise
    synthetic = open_records(open_database("synthetic"), part=VALIDATION, noise_dir=noise_dir, fs=fs)
    yield "synthetic", synthetic.leads, joined.noise


def decompose(
    denoiser: Denoiser, lead: EvaluationLead, noise: NoiseRecords, *, seed: Sequence[int]
) -> tuple[list[float], list[float], float]:
    """Return the gain over the high-pass against recording and output in dB for each level, and the relative change."""
    reference = remove_baseline_wander(lead.clean, lead.fs)
    unit = noise_for_lead(reference, noise, noise_type=MIX, part=VALIDATION, seed=seed)
    without = denoiser.denoise(lead.clean, fs=lead.fs)
    rows: tuple[list[float], list[float]] = ([], [])
    for snr in HARM_LEVELS:
        added = 10 ** (-snr / 20) * unit
        left = np.mean(np.square(remove_baseline_wander(added, lead.fs)))
        output = denoiser.denoise(lead.clean + added, fs=lead.fs)
        for row, target in zip(rows, (reference, without), strict=True):
            row.append(float(10 * np.log10(left / np.mean(np.square(output - target)))))
    changed = np.mean(np.square(without - reference)) / np.mean(np.square(reference))
    return *rows, float(changed)


def _row(values: np.ndarray) -> str:
    return " / ".join(f"{value:.1f}" for value in values).replace("-", "−")


if __name__ == "__main__":
    main()

"""Noise reduction that unchanged waves need: ``python -m benchmarks.quality.wave_limits``.

The noise that the high-pass of the reference leaves in each record is reduced by a fixed number of decibels, as a
denoiser would that changes no wave of its own. Printed are the shares of beats whose ST level moves by 0.1 mV or
more, and whose QRS width or T end moves by 20 ms or more. A denoiser that improves the SNR by less than the decibels
at which a share becomes small cannot make it small. The records are the validation records of MIT-BIH, with the
mixture of noises for validation; no test record is read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ecg_study.ecg_data.databases.catalog import open_database
from ecg_study.ecg_data.databases.splits import VALIDATION
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import MIX
from ecg_study.evaluation.experiments.harm import noise_for_lead
from ecg_study.evaluation.morphology import Waves, summarize_changes, wave_changes
from ecg_study.workflows.evaluate import open_records

LEVELS = (24, 12, 6, 0)
REDUCTIONS = (0, 3, 6, 9, 12, 15, 18, 21, 24)  # dB


def main() -> None:
    """Print one line per input SNR and reduction."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--raw-dir", type=Path, required=True, help="folder of the MIT-BIH records")
    parser.add_argument("--noise-dir", type=Path, required=True, help="folder of the noise records")
    parser.add_argument("--seed", type=int, default=1, help="seed of the noise (default: 1)")
    options = parser.parse_args()
    data = open_database("mitdb", raw_dir=options.raw_dir)
    opened = open_records(data, part=VALIDATION, noise_dir=options.noise_dir)
    assert opened.noise is not None
    found: dict[tuple[int, int], list[Waves]] = {(snr, cut): [] for snr in LEVELS for cut in REDUCTIONS}
    for number, lead in enumerate(opened.leads):
        reference = remove_baseline_wander(lead.clean, lead.fs)
        noise = noise_for_lead(reference, opened.noise, noise_type=MIX, part=VALIDATION, seed=[options.seed, number])
        left = remove_baseline_wander(noise, lead.fs)
        for snr in LEVELS:
            outputs = {str(cut): reference + 10 ** (-(snr + cut) / 20) * left for cut in REDUCTIONS}
            changed = wave_changes(
                reference, outputs, r_peaks=lead.r_peaks, fs=lead.fs, excluded_intervals=lead.excluded_intervals
            )
            for cut in REDUCTIONS:
                found[snr, cut].append(changed[str(cut)])
    print(f"{len(opened.leads)} records; beats moved in %: ST level by 0.1 mV, QRS width by 20 ms, T end by 20 ms")
    for (snr, cut), waves in found.items():
        moved = summarize_changes(waves)
        shares = (moved.false_st, moved.false_qrs, moved.false_qt)
        shown = " / ".join("–" if share is None else f"{100 * share:.2f}" for share in shares)
        print(f"input {snr:3} dB, noise reduced by {cut:2} dB after the high-pass: {shown}")


if __name__ == "__main__":
    main()

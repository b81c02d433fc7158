"""Denoisers on validation records by overlap of the segments: ``python -m benchmarks.quality.overlaps MODEL ...``.

Printed is the SNR improvement for the mixture of noises in dB above the high-pass of the reference alone, at each input
SNR: for each of ``mitdb``, ``qtdb`` and ``cinc2014``, and their mean. The noise is that of "denoising without harm"
(`ecg_study.evaluation.experiments.harm`). No test record is read.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.catalog import open_database
from ecg_study.ecg_data.databases.facts import JOINABLE
from ecg_study.ecg_data.databases.splits import VALIDATION
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import MIX
from ecg_study.evaluation.experiments.harm import HARM_LEVELS, noise_for_lead
from ecg_study.evaluation.leads import EvaluationLead
from ecg_study.inference.denoiser import Denoiser, DenoiserStream
from ecg_study.inference.loading import load_denoiser
from ecg_study.workflows.evaluate import open_records

OVERLAPS = ("package", "half", "quarter")
SEED = 1


@dataclass(frozen=True)
class Variant:
    """A way to apply a denoiser.

    Attributes:
        denoiser: the model.
        overlap: ``"package"`` as the package does it, or a share of a segment: ``"half"``, ``"quarter"``.
        both_polarities: whether the output for the inverted lead, inverted again, is averaged with that of the lead.
    """

    denoiser: Denoiser
    overlap: str
    both_polarities: bool

    def apply(self, signal: np.ndarray, fs: float) -> np.ndarray:
        """Return the denoised lead."""
        output = self._once(signal, fs)
        return (output - self._once(-signal, fs)) / 2 if self.both_polarities else output

    def _once(self, signal: np.ndarray, fs: float) -> np.ndarray:
        if self.overlap == "package":
            return np.asarray(self.denoiser.denoise(signal, fs=fs))
        card = self.denoiser.card
        stream = DenoiserStream(
            self.denoiser.runtime,
            model_fs=card.fs,
            segment_samples=card.segment_samples,
            fs=fs,
            removes_baseline_wander=True,
            highpass=card.highpass_hz is not None,
            overlap=card.segment_samples // (2 if self.overlap == "half" else 4),
        )
        return np.concatenate([stream.push(signal), stream.finish()])


def decibels_above_highpass(lead: EvaluationLead, noise: np.ndarray, *, variant: Variant) -> list[float]:
    """Return the SNR improvement above that of the high-pass at each of `HARM_LEVELS`, in dB.

    Args:
        lead: a lead without added noise.
        noise: noise of the power of the lead without its wander, in mV.
        variant: the denoiser.
    """
    reference = remove_baseline_wander(lead.clean, lead.fs)
    found = []
    for snr in HARM_LEVELS:
        noisy = lead.clean + 10 ** (-snr / 20) * noise
        errors = [remove_baseline_wander(noisy, lead.fs) - reference, variant.apply(noisy, lead.fs) - reference]
        powers = [float(np.mean(np.square(error))) for error in errors]
        found.append(10 * np.log10(powers[0] / powers[1]))
    return found


def main() -> None:
    """Print one line per model and database, and the mean of the databases."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="names or folders of denoisers with a high-pass")
    parser.add_argument("--raw-dir", type=Path, required=True, help="folder with one folder per database")
    parser.add_argument("--noise-dir", type=Path, required=True, help="folder of the noise records")
    parser.add_argument("--records", type=int, default=6, help="records of each database (default: 6)")
    parser.add_argument("--overlap", choices=OVERLAPS, default="package", help="overlap of segments (default: package)")
    parser.add_argument("--both-polarities", action="store_true", help="average the outputs for both polarities")
    options = parser.parse_args()
    print(f"dB above the high-pass at {' / '.join(map(str, HARM_LEVELS))} dB, overlap: {options.overlap}", flush=True)
    opened = {
        name: open_records(
            open_database(name, raw_dir=options.raw_dir / name), part=VALIDATION, noise_dir=options.noise_dir, fs=360.0
        )
        for name in JOINABLE
    }
    for model in options.models:
        variant = Variant(load_denoiser(model), options.overlap, options.both_polarities)
        means = []
        for name, records in opened.items():
            assert records.noise is not None
            rows = []
            for lead in records.leads[: options.records]:
                place = [SEED, zlib.crc32(lead.name.encode()), zlib.crc32(MIX.encode())]
                reference = remove_baseline_wander(lead.clean, lead.fs)
                noise = noise_for_lead(reference, records.noise, noise_type=MIX, part=VALIDATION, seed=place)
                rows.append(decibels_above_highpass(lead, noise, variant=variant))
            means.append(np.mean(rows, axis=0))
            print(f"{model} {name} ({len(rows)} records): {_listed(means[-1])}", flush=True)
        print(f"{model} mean of the databases: {_listed(np.mean(means, axis=0))}", flush=True)


def _listed(values: np.ndarray) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    main()

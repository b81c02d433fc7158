"""SNR improvement of several settings of the wavelet filters for recorded noise, on the validation records of MIT-BIH.

    python -m benchmarks.quality.wavelets --raw-dir ../mitdb --noise-dir ../nstdb
    python -m benchmarks.quality.wavelets --raw-dir ../mitdb --noise-dir ../nstdb --whole

The recording without baseline wander is taken as clean, and the noise is that for training. Without ``--whole``, noise
is added to every sixth segment of 2,048 samples. With ``--whole``, the mixture of noises is added to the first five
minutes of each record, as in "Denoising without harm", and the filters begin with the high-pass of the reference. The
output has the mean over noise types and levels, and each of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.splits import MITDB_VALIDATION, TRAIN
from ecg_study.ecg_data.filters import remove_baseline_wander
from ecg_study.ecg_data.noise import GAUSSIAN, MIX, NOISE_TYPES, scale_to_power
from ecg_study.ecg_data.noise_records import NoiseRecords, open_noise_records
from ecg_study.ecg_data.readers.wfdb import read_record
from ecg_study.evaluation.baselines.filters import bandpass, compose, decompose, deviation, highpass
from ecg_study.evaluation.experiments.harm import HARM_LEVELS, noise_for_lead
from ecg_study.evaluation.experiments.noise_types import LEVELS

SEGMENT, EVERY = 2048, 6
WHOLE_SECONDS = 300.0

Apply = Callable[[np.ndarray, float], np.ndarray]


def setting(levels: int, mode: str, *, limit: float, by_level: bool, front: Apply = highpass) -> Apply:
    """Return a high-pass followed by a stationary wavelet filter.

    Args:
        levels: levels of the wavelet transform.
        mode: ``"soft"`` or ``"hard"``.
        limit: threshold in standard deviations.
        by_level: estimate the deviation in each level, not only in the finest.
        front: the high-pass.
    """

    def apply(signal: np.ndarray, fs: float) -> np.ndarray:
        approximation, details, samples = decompose(front(signal, fs), levels)
        kept = []
        for detail in details:
            threshold = limit * deviation(detail if by_level else details[-1])
            soft = np.sign(detail) * np.maximum(np.abs(detail) - threshold, 0.0)
            kept.append(soft if mode == "soft" else np.where(np.abs(detail) >= threshold, detail, 0.0))
        return compose(approximation, kept, samples=samples)

    return apply


def settings_of(choices: Sequence[tuple[int, str, float, bool]], *, front: Apply = highpass) -> dict[str, Apply]:
    """Return filters by name.

    Args:
        choices: levels, mode, limit and whether each level has its own deviation, as for `setting`.
        front: the high-pass.
    """
    return {
        f"{levels} levels, {mode} at {limit:g} σ of {'each level' if by_level else 'the finest'}": setting(
            levels, mode, limit=limit, by_level=by_level, front=front
        )
        for levels, mode, limit, by_level in choices
    }


SETTINGS: dict[str, Apply] = {
    "high-pass alone": highpass,
    "band-pass alone": bandpass,
    **settings_of(
        [
            (3, "hard", 3.0, False),
            (3, "soft", 1.0, False),
            (5, "hard", 3.0, False),
            (5, "soft", 1.0, False),
            (3, "soft", 1.0, True),
            (3, "hard", 2.0, True),
            (4, "soft", 1.0, True),
            (5, "soft", 0.6, True),
        ]
    ),
}


WHOLE_SETTINGS: dict[str, Apply] = {
    "high-pass of the reference alone": remove_baseline_wander,
    "band-pass alone": bandpass,
    "high-pass at 0.67 Hz, 4 levels, soft at 1 σ of each level": SETTINGS["4 levels, soft at 1 σ of each level"],
    **settings_of(
        [
            (3, "soft", 0.5, False),
            (4, "soft", 0.25, False),
            (4, "soft", 0.5, False),
            (4, "soft", 0.75, False),
            (4, "soft", 1.0, False),
            (5, "soft", 0.5, False),
            (4, "hard", 1.0, False),
            (4, "hard", 2.0, False),
            (4, "hard", 3.0, False),
            (4, "soft", 0.3, True),
            (4, "soft", 0.6, True),
            (4, "soft", 1.0, True),
            (4, "hard", 1.0, True),
            (4, "hard", 2.0, True),
        ],
        front=remove_baseline_wander,
    ),
}


def improvements(raw_dir: Path, noise: NoiseRecords, *, apply: Apply) -> dict[str, list[float]]:
    """Return noise type → mean SNR improvement in dB at each level."""
    found: dict[str, list[list[float]]] = {noise_type: [[] for _ in LEVELS] for noise_type in NOISE_TYPES}
    for number, name in enumerate(MITDB_VALIDATION):
        record = read_record(raw_dir / name)
        whole = remove_baseline_wander(record.signal[:, 0], record.fs)
        clean = whole[: len(whole) // SEGMENT * SEGMENT].reshape(-1, SEGMENT)[::EVERY].astype(np.float32)
        for noise_type in NOISE_TYPES:
            unit = np.random.default_rng(number).standard_normal(clean.shape, dtype=np.float32)
            if noise_type != GAUSSIAN:
                unit = noise.draw(noise_type, TRAIN, count=len(clean), samples=SEGMENT, seed=[number])
            for place, snr in enumerate(LEVELS):
                added = scale_to_power(unit, np.var(clean, axis=1, keepdims=True, dtype=np.float64) * 10 ** (-snr / 10))
                left = np.sum((apply(clean + added, record.fs) - clean) ** 2, axis=1)
                found[noise_type][place].append(float(np.mean(10 * np.log10(np.sum(added**2, axis=1) / left))))
    return {noise_type: [float(np.mean(values)) for values in levels] for noise_type, levels in found.items()}


def whole_improvements(raw_dir: Path, noise: NoiseRecords, *, apply: Apply) -> dict[str, list[float]]:
    """Return the mean SNR improvement in dB at each level of "Denoising without harm", for the mixture of noises."""
    found: list[list[float]] = [[] for _ in HARM_LEVELS]
    for number, name in enumerate(MITDB_VALIDATION):
        record = read_record(raw_dir / name)
        recorded = record.signal[: round(WHOLE_SECONDS * record.fs), 0]
        reference = remove_baseline_wander(recorded, record.fs)
        unit = noise_for_lead(reference, noise, noise_type=MIX, part=TRAIN, seed=[number])
        for place, snr in enumerate(HARM_LEVELS):
            added = unit * 10 ** (-snr / 20)
            left = apply(recorded + added, record.fs) - reference
            found[place].append(float(10 * np.log10(np.sum(added**2) / np.sum(left**2))))
    return {MIX: [float(np.mean(values)) for values in found]}


def main() -> None:
    """Print the SNR improvement of each setting."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--raw-dir", required=True, type=Path, help="the MIT-BIH records")
    parser.add_argument("--noise-dir", required=True, type=Path, help="the noise records")
    parser.add_argument("--whole", action="store_true", help="whole recordings, from 24 to -6 dB")
    options = parser.parse_args()
    noise = open_noise_records(options.noise_dir)
    levels, settings = (HARM_LEVELS, WHOLE_SETTINGS) if options.whole else (LEVELS, SETTINGS)
    print(f"dB at {', '.join(f'{snr}' for snr in levels)} dB; in front the mean of all")
    for name, apply in settings.items():
        measure = whole_improvements if options.whole else improvements
        found = measure(options.raw_dir, noise, apply=apply)
        mean = np.mean([value for values in found.values() for value in values])
        each = "; ".join(
            f"{noise_type} {' / '.join(f'{value:.2f}' for value in values)}" for noise_type, values in found.items()
        )
        print(f"{mean:.2f}  {name}: {each}")


if __name__ == "__main__":
    main()

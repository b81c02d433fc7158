"""Synthetic database: different subjects, written as WFDB records.

Its clean signals and R peaks are exact. Real recordings are never free of noise, and annotators are not exact to the
sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_study.ecg_data.databases.ecgsyn import EVENT_ANGLES, EVENT_WIDTHS, Waves, rr_tachogram, simulate
from ecg_study.files import new_directory, sha256_of, write_text
from ecg_study.progress import Progress

VERSION = 2
"""Increase it whenever the same seed would give other records."""

_DRAWS = 1  # of the random numbers, which version 2 shares with version 1

FS = 360.0
LEADS = ("MLII", "V5")

DURATION = 160.0
"""Seconds per record."""

SUBJECTS = 30
"""Default number of subjects of a database; a study tests six of them."""

_NORMAL, _PREMATURE = 0, 1
_GAIN = 1000  # ADC units per mV: one unit is 1 µV, far below all added noise
_ANNOTATION_REACH = 0.05  # s: half of the widest normal QRS; the extremum of the R wave lies within it
_LOWEST_RATE, _HIGHEST_RATE = 45.0, 150.0  # beats/min


@dataclass(frozen=True)
class Subject:
    """Properties of one synthetic subject.

    Attributes:
        name: record name.
        heart_rate: mean heart rate in beats/min.
        rr_variation: standard deviation of the RR interval, relative to its mean.
        respiration: respiratory rate in Hz.
        lf_hf: ratio of the power of the Mayer waves to that of the respiratory arrhythmia.
        irregular: whether RR intervals are independent and P waves are missing, as in atrial fibrillation.
        premature: share of premature beats, which are wide and have no P wave.
        inverted: whether the first lead is inverted, as with exchanged electrodes.
        baseline_wander: amplitude of the respiratory baseline wander in mV.
        normal: waves of the normal beat, per lead.
        ectopic: waves of the premature beat, per lead.
    """

    name: str
    heart_rate: float
    rr_variation: float
    respiration: float
    lf_hf: float
    irregular: bool
    premature: float
    inverted: bool
    baseline_wander: float
    normal: tuple[Waves, ...]
    ectopic: tuple[Waves, ...]

    def describe(self) -> str:
        """Return one line for the header of the record."""
        traits = [f"{self.heart_rate:.0f} beats/min"]
        traits += ["irregular rhythm without P waves"] if self.irregular else []
        traits += [f"{self.premature:.0%} premature wide beats"] if self.premature else []
        traits += [f"lead {LEADS[0]} inverted"] if self.inverted else []
        return "synthetic subject: " + ", ".join(traits)


def draw_subjects(seed: int, *, count: int = SUBJECTS) -> list[Subject]:
    """Draw the subjects of one database, with heart rates from 45 to 150 beats/min.

    The same seed draws the same subjects. A quarter has premature beats, three of 16 an irregular rhythm and one of
    eight an inverted lead; a subject may have several of these.

    Args:
        seed: seed of the subjects.
        count: number of subjects.
    """
    rng = np.random.default_rng([seed, _DRAWS])
    rates = rng.permutation(np.linspace(_LOWEST_RATE, _HIGHEST_RATE, count))
    premature, irregular, inverted = (
        set(rng.choice(count, number, replace=False).tolist()) for number in (count // 4, 3 * count // 16, count // 8)
    )
    return [
        _draw_subject(f"s{i + 1:02d}", rates[i], i in premature, i in irregular, i in inverted, rng)
        for i in range(count)
    ]


def write_synthetic(
    directory: Path,
    *,
    seed: int,
    subjects: int = SUBJECTS,
    duration: float = DURATION,
    progress: Progress | None = None,
) -> None:
    """Write the database as WFDB records with annotations and a ``SHA256SUMS.txt``, completely or not at all.

    Args:
        directory: folder to create.
        seed: seed of the subjects and signals; the same seed gives the same bytes.
        subjects: number of subjects, each with one record.
        duration: seconds per record.
        progress: called with the number of written records.
    """
    with new_directory(directory) as temporary:
        for index, subject in enumerate(draw_subjects(seed, count=subjects)):
            if progress is not None:
                progress("Synthetic records", index, subjects)
            _write_record(temporary, subject, np.random.default_rng([seed, _DRAWS, index]), duration)
        files = sorted(path for path in temporary.iterdir() if not path.name.startswith("."))
        sums = "".join(f"{sha256_of(path)} {path.name}\n" for path in files)
        write_text(temporary / "SHA256SUMS.txt", sums)
    if progress is not None:
        progress("Synthetic records", subjects, subjects)


def _draw_subject(
    name: str, rate: float, premature: bool, irregular: bool, inverted: bool, rng: np.random.Generator
) -> Subject:
    r_amplitude = rng.uniform(0.6, 1.8)
    # Relative amplitudes as in a normal lead II; P, S and T vary most between subjects.
    relative = np.array(
        [rng.uniform(0.05, 0.2), -rng.uniform(0.03, 0.15), 1.0, -rng.uniform(0.05, 0.45), rng.uniform(0.12, 0.45)]
    )
    if irregular:
        relative[0] = 0.0
    widths = EVENT_WIDTHS * rng.uniform(0.8, 1.25, 5)
    angles = EVENT_ANGLES * rng.uniform(0.9, 1.1, 5)
    polarity = -1.0 if inverted else 1.0
    # The second lead has other amplitudes at the same times.
    seen_by_second = np.array([0.7, 0.5, rng.uniform(0.5, 1.2), rng.uniform(1.0, 2.0), rng.uniform(0.5, 1.2)])
    scales = (np.full(5, polarity), seen_by_second)
    wide = np.array([1.0, 2.0, 2.0, 2.0, 1.2])
    ectopic = np.array([0.0, -0.1, rng.uniform(0.9, 1.4), -rng.uniform(0.2, 0.5), -rng.uniform(0.2, 0.5)])
    spread = np.array([1.0, 1.8, 1.0, 1.8, 1.1])
    return Subject(
        name=name,
        heart_rate=float(rate),
        rr_variation=float(rng.uniform(0.02, 0.07)),
        respiration=float(rng.uniform(0.18, 0.32)),
        lf_hf=float(rng.uniform(0.3, 2.0)),
        irregular=irregular,
        premature=float(rng.uniform(0.06, 0.18)) if premature else 0.0,
        inverted=inverted,
        baseline_wander=float(rng.uniform(0.0, 0.15)),
        normal=tuple(Waves(angles, r_amplitude * relative * scale, widths) for scale in scales),
        ectopic=tuple(Waves(angles * spread, r_amplitude * ectopic * scale, widths * wide) for scale in scales),
    )


def _write_record(directory: Path, subject: Subject, rng: np.random.Generator, duration: float) -> None:
    import wfdb

    samples = int(duration * FS)
    times, kinds = _beats(subject, duration, rng)
    breathing = 2 * np.pi * subject.respiration * np.arange(samples) / FS + rng.uniform(0, 2 * np.pi)
    baseline = subject.baseline_wander * np.sin(breathing)
    leads = [
        simulate(times, kinds, kinds=[normal, ectopic], baseline=baseline, fs=FS)
        for normal, ectopic in zip(subject.normal, subject.ectopic, strict=True)
    ]
    signal = np.stack(leads, axis=1)
    r_peaks, symbols = _annotate(signal[:, 0], times, kinds, -1.0 if subject.inverted else 1.0)
    wfdb.wrsamp(
        subject.name,
        fs=FS,
        units=["mV"] * len(LEADS),
        sig_name=list(LEADS),
        p_signal=signal,
        fmt=["16"] * len(LEADS),
        adc_gain=[_GAIN] * len(LEADS),
        baseline=[0] * len(LEADS),
        comments=[subject.describe()],
        write_dir=str(directory),
    )
    wfdb.wrann(subject.name, "atr", sample=r_peaks, symbol=symbols, fs=FS, write_dir=str(directory))


def _beats(subject: Subject, duration: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw times in seconds and kinds of beats, from before the start of the record to after its end."""
    mean = 60.0 / subject.heart_rate
    lead_in, lead_out = 3 * mean, 4 * mean
    span = lead_in + duration + lead_out
    tachogram, rate = rr_tachogram(
        span,
        mean=mean,
        deviation=subject.rr_variation * mean,
        respiration=subject.respiration,
        lf_hf=subject.lf_hf,
        rng=rng,
    )
    times = [-lead_in + rng.uniform(0, mean)]
    kinds = [_NORMAL]
    pause = 1.0
    while times[-1] < duration + 2 * mean:
        position = min(int((times[-1] + lead_in) * rate), len(tachogram) - 1)
        interval = tachogram[position] * pause
        if subject.irregular:
            # In atrial fibrillation, intervals between beats vary independently by about a fifth.
            interval *= np.exp(rng.normal(0, 0.2))
        early = kinds[-1] == _NORMAL and rng.random() < subject.premature
        # A premature ventricular beat comes after about two thirds of the interval; a compensatory pause follows.
        pause = 1.33 if early else 1.0
        times.append(times[-1] + max(0.3, interval * (0.67 if early else 1.0)))
        kinds.append(_PREMATURE if early else _NORMAL)
    return np.array(times), np.array(kinds)


def _annotate(lead: np.ndarray, times: np.ndarray, kinds: np.ndarray, polarity: float) -> tuple[np.ndarray, list[str]]:
    """Return the sample of each R wave's extremum, and its WFDB symbol (N normal, V premature)."""
    reach = round(_ANNOTATION_REACH * FS)
    centers = np.round(times * FS).astype(np.int64)
    # An R wave across the border of the record has no extremum inside; it is not annotated.
    inside = (centers >= reach) & (centers < len(lead) - reach)
    centers, kinds = centers[inside], kinds[inside]
    around = centers[:, None] + np.arange(-reach, reach + 1)
    r_peaks = centers - reach + np.argmax(polarity * lead[around], axis=1)
    return r_peaks, ["V" if kind == _PREMATURE else "N" for kind in kinds]

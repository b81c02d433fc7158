"""Leads of a file: labels, selection by name or position, and the usual lead."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from ecg_study.ecg_data.readers.recording import ALL_LEADS, AUTO_LEAD
from ecg_study.ecg_data.readers.units import split_name
from ecg_study.errors import RecordError

_FIRST_CHOICE = ("mlii", "ii")
"""Leads in which the QRS complex is tall in most recordings, the preferred one first."""

_ECG_NAME = re.compile(r"(?:ecg|ekg|signal)[ _-]?(?:mv)?[ _-]?(?:1|i|a|lead ?(?:1|i))?")
"""A name of the only or of the first ECG lead."""

_STANDARD_LEAD = re.compile(
    r"(?:ml|m)?(?:i|ii|iii)|a-?v[rlf]|v\d{0,2}[rl]?|v\d-v\d|mod\.?v\d"
    r"|ml\d|mv\d|c[mcsb]\d|cr\d|d\d|(?:ecg|ekg).*|es|as|ai"
)
"""Names of ECG leads: Einthoven, Goldberger, Wilson, and bipolar chest leads of Holter recorders."""

_FRANK = frozenset("xyz")
"""Leads of Frank. One or two of these names may also be those of a curve, or of a sensor of acceleration."""

_ECG_DEVICE = re.compile(r"(?:ecg|ekg)(?: -|,) .+")
"""A name with the amplifier after it, as ``ECG - ECG100C`` and ``ECG, X, RSPEC-R``."""

_PREFIX = re.compile(r"^(?:(?:ecg|ekg|lead|channel|ch)[ _:.-]+)+(?=\S)")


def lead_labels(names: Sequence[str | None]) -> tuple[str, ...]:
    """Return one label for each lead: unique, not empty and printable.

    A missing name becomes ``lead_1``, with the position of the lead. Repeated names get a number: ``ECG_1``, ``ECG_2``.
    """
    plain = [_printable(name or "") for name in names]
    counts, taken = Counter(plain), set(plain)

    def unused(label: str, *, numbered: bool) -> str:
        made, number = (f"{label}_1" if numbered else label), 1
        while made in taken:
            number += 1
            made = f"{label}_{number}"
        taken.add(made)
        return made

    labels = []
    for position, name in enumerate(plain, 1):
        if name and counts[name] == 1:
            labels.append(name)
        else:
            labels.append(unused(name or f"lead_{position}", numbered=bool(name)))
    return tuple(labels)


def _printable(name: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())


def is_ecg_lead(name: str) -> bool:
    """Return whether a name, with or without a unit, is that of an ECG lead."""
    return _STANDARD_LEAD.fullmatch(_plain(name)) is not None or _ECG_NAME.fullmatch(_plain(name)) is not None


def ecg_leads(names: Sequence[str]) -> list[bool]:
    """Return which names are those of ECG leads; ``x``, ``y`` and ``z`` only together."""
    has_frank = {_plain(name) for name in names} >= _FRANK
    return [is_ecg_lead(name) or (has_frank and _plain(name) in _FRANK) for name in names]


def _plain(name: str) -> str:
    """Return a name in lower case, without unit and without a prefix such as ``ECG`` or ``Lead``."""
    plain = split_name(name).name.lower().strip()
    return _PREFIX.sub("", plain).strip()


_OTHER_SENSOR = re.compile(
    r"(?:resp(?:iration)?|breath(?:ing)?|pleth|ppg|bvp|spo2|sao2|abp|art|nibp|cvp|pap|bp|pressure|co2|etco2|flow)"
    r"|(?:thor(?:ax)?|abdo?(?:men)?|hr|rr|heart[ _-]?rate|pulse|bpm|temp(?:erature)?(?:[ _-]?[cfk])?|eda|gsr)"
    r"|(?:eeg|emg|eog|eog[lr]|chin|snore|nasal|airflow)\b.*"
    r"|(?:acc|accel|accelerometer|gyro|gyr|mag|imu)(?:[ _.-]?[xyz123])?"
)
"""Names of channels of other sensors than electrodes on the chest."""

_OTHER_SIGNAL = re.compile(
    r"(?:r[ _-]?peaks?|qrs|beats?|labels?|class|annotations?|markers?|events?|triggers?|notes?|comments?|flags?|status)"
    r"|(?:index|idx|#|no\.?|nr\.?|number|row|counter|count|seq(?:uence)?|nseq|samples?(?:[ _-](?:number|index|no|id))?)"
    r"|(?:battery|voltage|current|lux|light|position|activity)"
    r"|(?:time|clock|date|timestamp|seconds?|elapsed).*"
)
"""Names of other channels that are not ECG leads, or not beside one: a single column may be called voltage."""


def is_other_signal(name: str) -> bool:
    """Return whether a name, with or without a unit, is that of a time, a counter, a marker or another signal."""
    return _is_other_sensor(name) or _OTHER_SIGNAL.fullmatch(split_name(name).name.lower().strip()) is not None


def _is_other_sensor(name: str) -> bool:
    return _OTHER_SENSOR.fullmatch(split_name(name).name.lower().strip()) is not None


def choose_leads(
    path: Path,
    names: Sequence[str],
    *,
    lead: str,
    labels: Sequence[str] | None = None,
    noun: str = "leads",
    voltages: Collection[int] = (),
) -> list[int]:
    """Return the columns of the selected leads.

    ``"auto"`` selects MLII or II; else a lead that is called ECG, EKG or signal; else the first lead with the name of
    an ECG lead; else the only one, unless its name is that of another sensor.

    Args:
        path: path of the file, for messages.
        names: names of all leads as in the file.
        lead: name, label or position (from 1) of a lead, ``"auto"`` or ``"all"``.
        labels: labels of all leads (default: those of `lead_labels`).
        noun: word for leads in this file format.
        voltages: columns with a unit of voltage, which may be a single lead of Frank.

    Raises:
        RecordError: the lead is missing or ambiguous, or ``"auto"`` finds no ECG lead.
    """
    labels = lead_labels(names) if labels is None else labels
    if lead == ALL_LEADS:
        return list(range(len(labels)))
    if lead == AUTO_LEAD:
        return [_usual_lead(path, labels, noun, voltages)]
    named = [column for column, label in enumerate(labels) if label == lead]
    named = named or [column for column, name in enumerate(names) if name == lead]
    if len(named) == 1:
        return named
    listed = list_names(labels)
    if len(named) > 1:
        problem = f"{len(named)} {noun} are named {lead!r}; use one of {listed}, or a position from 1"
        raise RecordError(path, problem, parameter="lead")
    if re.fullmatch("[0-9]{1,6}", lead) and 1 <= int(lead) <= len(labels):
        return [int(lead) - 1]
    problem = f"{lead!r} is not among its {noun} ({listed}); use one of these names, or a position from 1"
    raise RecordError(path, problem, parameter="lead")


def _usual_lead(path: Path, labels: Sequence[str], noun: str, voltages: Collection[int]) -> int:
    plain = [_plain(label) for label in labels]
    for usual in _FIRST_CHOICE:
        if usual in plain:
            return plain.index(usual)
    for pattern in (_ECG_NAME, _STANDARD_LEAD):
        for column, name in enumerate(plain):
            if pattern.fullmatch(name):
                return column
    for column, is_lead in enumerate(ecg_leads(labels)):
        if is_lead or (plain[column] in _FRANK and column in voltages):
            return column
    for column, label in enumerate(labels):
        if _ECG_DEVICE.fullmatch(label.lower()):
            return column
    if len(labels) == 1 and not _is_other_sensor(labels[0]):
        return 0
    problem = f"none of its {noun} ({list_names(labels)}) has the name of an ECG lead; choose a lead, or 'all'"
    raise RecordError(path, problem, parameter="lead")


def list_names(labels: Sequence[str]) -> str:
    """Return the first labels as a list; a hostile file may have thousands."""
    shown = [label[:40] for label in labels[:20]]
    return ", ".join(shown) + (f", … {len(labels) - len(shown):,} more" if len(labels) > len(shown) else "")

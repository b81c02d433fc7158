"""Tests of recordings in HL7 aECG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.ecg_data.clinical.signals import FS, SAMPLES, digital, millivolts, opened, problem, values
from tests.ecg_data.clinical.writers import AECG_TIME, aecg, aecg_lead, aecg_series, write_text

LEADS = tuple(aecg_lead(f"MDC_ECG_LEAD_{name}", digital(position)) for position, name in enumerate(("I", "II", "AVF")))


def made_text() -> str:
    return aecg(aecg_series(LEADS))


@pytest.fixture
def text() -> str:
    return made_text()


def written(tmp_path: Path, text: str, old: str = "", new: str = "") -> Path:
    assert old in text
    return write_text(tmp_path / "a.xml", text.replace(old, new, 1))


def test_the_rhythm_is_read_with_its_units_rate_and_time(tmp_path: Path, text: str) -> None:
    recording = opened(written(tmp_path, text), lead="all")
    assert (recording.fs, recording.leads, recording.samples) == (FS, ("I", "II", "aVF"), SAMPLES)
    assert recording.start_time == "2002-11-22T09:10:00"
    expected = np.column_stack([digital(position) for position in range(3)])
    np.testing.assert_allclose(values(recording.path, lead="all"), millivolts(expected), atol=1e-12)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_the_encoding_does_not_matter(tmp_path: Path, text: str, encoding: str) -> None:
    declared = {"utf-8-sig": "UTF-8", "latin-1": "ISO-8859-1"}.get(encoding, encoding)
    text = text.replace('encoding="UTF-8"', f'encoding="{declared}"').replace("of a test", "für µV")
    path = write_text(tmp_path / "a.dat", text, encoding)
    np.testing.assert_allclose(values(path)[:, 0], millivolts(digital(1)), atol=1e-12)


def test_representative_beats_are_not_read(tmp_path: Path) -> None:
    beats = aecg_series([aecg_lead("MDC_ECG_LEAD_II", digital(4))], code="REPRESENTATIVE_BEAT")
    path = write_text(tmp_path / "a.xml", aecg(beats, aecg_series(LEADS)))
    np.testing.assert_allclose(values(path)[:, 0], millivolts(digital(1)), atol=1e-12)
    only = write_text(tmp_path / "b.xml", aecg(beats))
    assert "no rhythm, only these series: REPRESENTATIVE_BEAT" in problem(only)


@pytest.mark.parametrize(
    ("increment", "fs"),
    [
        ('value="2" unit="ms"', 500.0),
        ('value="2000" unit="us"', 500.0),
        ('value="2e-3" unit="s"', 500.0),
        ('value="2.0" unit="ms"', 500.0),
    ],
)
def test_increments_have_a_unit_of_time(tmp_path: Path, text: str, increment: str, fs: float) -> None:
    assert opened(written(tmp_path, text, 'value="0.002" unit="s"', increment)).fs == fs


def test_a_rate_that_is_not_exact_in_decimals_is_rounded(tmp_path: Path) -> None:
    time = AECG_TIME.replace('value="0.002" unit="s"', 'value="3.90625" unit="ms"')
    leads = [aecg_lead("MDC_ECG_LEAD_II", digital(0, 1280))]
    assert opened(write_text(tmp_path / "a.xml", aecg(aecg_series(leads, time=time)))).fs == 256


def test_origin_and_scale_are_applied_with_their_units(tmp_path: Path, text: str) -> None:
    old = '<origin value="0" unit="uV"/>'
    for new, offset in (
        ('<origin value="100" unit="uV"/>', 0.1),
        ('<origin value="-0.1" unit="mV"/>', -0.1),
        ('<origin value="0" unit="mV"/>', 0.0),
    ):
        found = values(written(tmp_path, text, old, new), lead="I")
        np.testing.assert_allclose(found[:, 0], millivolts(digital()) + offset, atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('value="0.002" unit="s"', 'value="0.002" unit="fortnight"', "'fortnight' is not a unit of time"),
        ('value="0.002" unit="s"', 'value="0.002"', "is not a unit of time"),
        ('value="0.002" unit="s"', 'value="0" unit="s"', "must be positive"),
        ('value="0.002" unit="s"', 'value="fast" unit="s"', "'fast' is not a number"),
        ('value="0.002" unit="s"', 'value="0.004" unit="s"', "last 10 s, but its effective time is 5 s"),
        ("GLIST_TS", "SLIST_TS", "times are of the type 'SLIST_TS'"),
        ("SLIST_PQ", "SLIST_INT", "values are of the type 'SLIST_INT'"),
        ('<scale value="5" unit="uV"/>', '<scale value="0" unit="uV"/>', "its scale is 0"),
        ('<scale value="5" unit="uV"/>', '<scale value="5"/>', "no unit; give units"),
        ('<scale value="5" unit="uV"/>', '<scale value="5" unit="lightyear"/>', "unit 'lightyear' is unknown"),
        ('<scale value="5" unit="uV"/>', "", "scale is missing"),
        ('<origin value="0" unit="uV"/>', "", "origin is missing"),
        ('<origin value="0" unit="uV"/>', '<origin value="3" unit="Pa"/>', "do not agree"),
        ("<digits>", "<digits>12 ", "different lengths"),
        ("<digits>", "<digits>nan ", "'nan' is not a number"),
        ("<digits>", "<digits>1_0 ", "'1_0' is not a number"),
        ("<digits>", "<digits>0x1F ", "'0x1F' is not a number"),
        ("<digits>", "<digits>١ ", "is not a number"),
        ("<digits>", "<digits>3,5 ", "decimal mark must be a point"),
        ("<digits>", "<digits>1e999 ", "too large"),
    ],
)
def test_a_wrong_field_is_an_error(tmp_path: Path, text: str, old: str, new: str, message: str) -> None:
    assert message in problem(written(tmp_path, text, old, new), lead="I")


def test_samples_that_are_cut_from_all_leads_are_noticed(tmp_path: Path) -> None:
    leads = [aecg_lead("MDC_ECG_LEAD_II", digital()[: SAMPLES // 2])]
    path = write_text(tmp_path / "a.xml", aecg(aecg_series(leads)))
    assert "last 2.5 s, but its effective time is 5 s; samples are missing" in problem(path)


def test_a_missing_rate_is_requested(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.xml", aecg(aecg_series(LEADS, time="")))
    assert "give fs in Hz" in problem(path)
    assert opened(path, fs=500.0).fs == 500


def test_gaps_between_sequence_sets_are_not_closed(tmp_path: Path, text: str) -> None:
    more = f"<component><sequenceSet>{AECG_TIME}{''.join(LEADS)}</sequenceSet></component></series>"
    assert "2 sequence sets" in problem(written(tmp_path, text, "</series>", more))


def test_the_longest_of_several_rhythms_is_read(tmp_path: Path) -> None:
    short = aecg_series([aecg_lead("MDC_ECG_LEAD_II", digital(5, SAMPLES - 200))])
    path = write_text(tmp_path / "a.xml", aecg(short, aecg_series(LEADS)))
    np.testing.assert_allclose(values(path)[:, 0], millivolts(digital(1)), atol=1e-12)


def test_repeated_and_missing_names_are_told_apart_by_position(tmp_path: Path) -> None:
    codes = ("MDC_ECG_LEAD_II", "", "MDC_ECG_LEAD_II")
    leads = [aecg_lead(code, digital(position)) for position, code in enumerate(codes)]
    path = write_text(tmp_path / "a.xml", aecg(aecg_series(leads)))
    assert opened(path, lead="all").leads == ("II_1", "lead_2", "II_2")
    np.testing.assert_allclose(values(path, lead="3")[:, 0], millivolts(digital(2)), atol=1e-12)

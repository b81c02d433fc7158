"""Tests of resting ECGs in XML of GE MUSE."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.ecg_data.clinical.signals import FS, SAMPLES, digital, leads, millivolts, opened, problem, values
from tests.ecg_data.clinical.writers import muse, muse_wave, write_text


def made_text() -> str:
    return muse(muse_wave("Median", leads("I", "II")), muse_wave("Rhythm", leads("I", "II", "V1")))


@pytest.fixture
def text() -> str:
    return made_text()


def written(tmp_path: Path, text: str, old: str = "", new: str = "") -> Path:
    """Return the path of a file in which the rhythm's first ``old`` is ``new``."""
    head, rhythm = text.split("<WaveformType>Rhythm", 1)
    assert not old or re.search(old, rhythm)
    return write_text(tmp_path / "a.xml", head + "<WaveformType>Rhythm" + re.sub(old, new, rhythm, count=1))


def test_the_rhythm_is_read_with_its_units_rate_and_time(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    recording = opened(path, lead="all")
    assert (recording.fs, recording.leads, recording.samples) == (FS, ("I", "II", "V1"), SAMPLES)
    assert recording.start_time == "2020-09-22T09:03:32"
    np.testing.assert_allclose(values(path, lead="all"), millivolts(np.column_stack([*leads().values()])), atol=1e-12)
    assert opened(path).leads == ("II",)


def test_the_median_beats_are_not_read_even_if_they_come_first_or_are_longer(tmp_path: Path) -> None:
    long = {"II": digital(3, 3 * SAMPLES)}
    for waves in (["Median", "Rhythm"], ["Rhythm", "Median"]):
        parts = {"Median": muse_wave("Median", long), "Rhythm": muse_wave("Rhythm", leads())}
        path = write_text(tmp_path / "a.xml", muse(*(parts[kind] for kind in waves)))
        np.testing.assert_allclose(values(path)[:, 0], millivolts(digital(1)), atol=1e-12)
    assert "no rhythm, only these waveforms: Median" in problem(
        write_text(tmp_path / "b.xml", muse(muse_wave("Median", long)))
    )


def test_leads_that_are_sums_are_not_offered(tmp_path: Path, text: str) -> None:
    assert "'aVF' is not among its leads (I, II, V1)" in problem(written(tmp_path, text), lead="aVF")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<LeadDataCRC32>.*?<", "<LeadDataCRC32>1234<", "lead I: checksum"),
        ("<LeadByteCountTotal>5000", "<LeadByteCountTotal>10000", "LeadByteCountTotal is 10,000, but it has 5,000"),
        ("<LeadSampleCountTotal>2500", "<LeadSampleCountTotal>2499", "LeadSampleCountTotal is 2499"),
        ("<NumberofLeads>3", "<NumberofLeads>12", "NumberofLeads is 12, but it has 3"),
        ("<SampleBase>500", "<SampleBase>zero", "SampleBase: 'zero' is not a number"),
        ("<SampleBase>500", "<SampleBase>-500", "ECG from 100"),
        ("<SampleBase>500", "<SampleBase>1e400", "is not a number"),
        ("<SampleExponent>0", "<SampleExponent>1", "5000 Hz|too (large|small)|can be read"),
        ("<SampleExponent>0", "<SampleExponent>99", "SampleExponent is 99"),
        ("<LeadAmplitudeUnitsPerBit>5", "<LeadAmplitudeUnitsPerBit>0", "must be positive"),
        ("<LeadAmplitudeUnitsPerBit>5", "<LeadAmplitudeUnitsPerBit>4,88", "decimal mark must be a point"),
        ("<LeadAmplitudeUnits>MICROVOLTS", "<LeadAmplitudeUnits>FURLONGS", "unit 'FURLONGS' is unknown; give units"),
        ("<LeadAmplitudeUnits>MICROVOLTS", "<LeadAmplitudeUnits>", "no unit; give units"),
        ("<LeadAmplitudeUnits>MICROVOLTS", "<LeadAmplitudeUnits>mmHg", "not a voltage"),
        ("<LeadSampleSize>2", "<LeadSampleSize>3", "LeadSampleSize is 3 bytes"),
        ("<LeadOffsetFirstSample>0", "<LeadOffsetFirstSample>7", "LeadOffsetFirstSample is not 0"),
        ("CONTINUOUS_SAMPLES", "REPRESENTATIVE_BEAT", "SampleType is"),
        ("<WaveFormData>\n.", "<WaveFormData>\n*", "lead I: WaveFormData: not Base64"),
    ],
)
def test_a_wrong_field_is_an_error(tmp_path: Path, text: str, old: str, new: str, message: str) -> None:
    path = written(tmp_path, text, old, new)
    if message.startswith("5000"):
        assert opened(path, lead="1").fs == 5000
        return
    assert re.search(message, problem(path, lead="I"))


def test_a_median_that_is_damaged_does_not_matter(tmp_path: Path, text: str) -> None:
    path = write_text(tmp_path / "a.xml", text.replace("<NumberofLeads>2", "<NumberofLeads>9"))
    assert len(values(path)) == SAMPLES


def test_a_missing_rate_is_requested(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text, "<SampleBase>500</SampleBase>", "")
    assert "give fs in Hz" in problem(path)
    assert opened(path, fs=500.0).fs == 500


def test_options_that_contradict_the_file_are_an_error(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    assert "omit fs" in problem(path, fs=250.0)
    assert "omit units" in problem(path, units="mV")
    assert "omit gain" in problem(path, gain=200.0)
    assert opened(path, fs=500.0, units="uV").fs == FS


def test_leads_of_different_length_are_an_error(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.xml", muse(muse_wave("Rhythm", {"I": digital(0), "II": digital(1, SAMPLES - 1)})))
    assert "different lengths (2,499, 2,500 samples)" in problem(path)


def test_missing_and_repeated_names_are_told_apart_by_position(tmp_path: Path, text: str) -> None:
    path = write_text(tmp_path / "a.xml", text.replace("<LeadID>I<", "<LeadID><").replace("<LeadID>V1<", "<LeadID>II<"))
    assert opened(path, lead="all").leads == ("lead_1", "II_1", "II_2")
    np.testing.assert_allclose(values(path, lead="3")[:, 0], millivolts(digital(2)), atol=1e-12)


def test_several_rhythms_of_one_length_need_a_lead(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.xml", muse(muse_wave("Rhythm", leads("I", "II")), muse_wave("Rhythm", leads("V1"))))
    assert "has 2 recordings of 5 s (I, II; V1); choose a lead" in problem(path)
    np.testing.assert_allclose(values(path, lead="V1")[:, 0], millivolts(digital(0)), atol=1e-12)


def test_a_converter_without_checksums_writes_zeros(tmp_path: Path, text: str) -> None:
    path = write_text(tmp_path / "a.xml", re.sub("<LeadDataCRC32>.*?<", "<LeadDataCRC32>0<", text))
    assert len(values(path)) == SAMPLES

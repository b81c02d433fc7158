"""Tests of waveforms in DICOM, in files that pydicom writes."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom")

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, generate_uid

from ecg_study.ecg_data.readers.clinical import dicom
from tests.ecg_data.clinical.signals import (
    FS,
    MICROVOLTS,
    SAMPLES,
    assert_cut_and_altered_files_are_never_misread,
    digital,
    millivolts,
    opened,
    problem,
    values,
)

IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN = (f"1.2.840.10008.1.2{part}" for part in ("", ".1", ".1.99", ".2"))
LEADS = np.column_stack([digital(position) for position in range(3)])


def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def channel(source: str, *, scheme: str = "SCPECG", unit: str = "uV") -> Dataset:
    item = Dataset()
    item.ChannelSourceSequence = code(source, scheme, f"Lead {source}")
    item.ChannelSensitivity = MICROVOLTS
    item.ChannelSensitivityUnitsSequence = code(unit, "UCUM", "unit")
    item.ChannelSensitivityCorrectionFactor = 1
    item.ChannelBaseline = 0
    item.ChannelSampleSkew = 0
    item.WaveformBitsStored = 16
    return item


def group(signal: np.ndarray = LEADS, kind: str = "<i2", **elements: Any) -> Dataset:
    """Return a multiplex group with leads I, II and V1; ``elements`` replace others, ``None`` removes them."""
    item = Dataset()
    item.WaveformOriginality = "ORIGINAL"
    item.MultiplexGroupLabel = "RHYTHM"
    item.NumberOfWaveformSamples, item.NumberOfWaveformChannels = signal.shape
    item.SamplingFrequency = FS
    item.WaveformBitsAllocated = 8 * np.dtype(kind).itemsize
    names = {"i1": "SB", "u1": "UB", "i2": "SS", "u2": "US", "i4": "SL", "u4": "UL"}
    item.WaveformSampleInterpretation = names[kind[1:]]
    item.WaveformData = signal.astype(kind).tobytes()
    item["WaveformData"].VR = "OB" if kind.endswith("1") else "OW"
    item.ChannelDefinitionSequence = [channel(f"5.6.3-9-{number}") for number in (1, 2, 3)[: signal.shape[1]]]
    for name, value in elements.items():
        if value is None:
            delattr(item, name)
        else:
            setattr(item, name, value)
    return item


def median(signal: np.ndarray = LEADS[:600] // 2) -> Dataset:
    return group(signal, WaveformOriginality="DERIVED", MultiplexGroupLabel="MEDIAN BEAT")


def written(tmp_path: Path, *groups: Dataset, syntax: str = EXPLICIT) -> Path:
    path = tmp_path / "a.dcm"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.9.1.1")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.PatientName = "Nobody^Mr"
    data.AcquisitionDateTime = "20021122091000.000"
    data.WaveformSequence = list(groups)
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN])
def test_the_rhythm_is_read_in_every_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    kind = ">i2" if syntax == BIG_ENDIAN else "<i2"
    path = written(tmp_path, group(kind=kind), syntax=syntax)
    recording = opened(path, lead="all")
    assert (recording.fs, recording.leads, recording.samples) == (FS, ("I", "II", "V1"), SAMPLES)
    assert recording.start_time == "2002-11-22T09:10:00"
    np.testing.assert_allclose(values(path, lead="all"), millivolts(LEADS), atol=1e-12)


def test_a_group_with_a_long_label_is_read(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="exceeds the maximum length of 16"):
        path = written(tmp_path, group(MultiplexGroupLabel="RHYTHM STRIP OF TEN SECONDS"))
    np.testing.assert_allclose(values(path, lead="all"), millivolts(LEADS), atol=1e-12)
    with pytest.warns(UserWarning, match="exceeds the maximum length of 16"):
        path = written(tmp_path, group(MultiplexGroupLabel="RHYTHM STRIP OF TEN SECONDS", NumberOfWaveformSamples=5))
    assert "multiplex group RHYTHM STRIP OF TEN SECONDS: " in problem(path)


@pytest.mark.parametrize("kind", ["<i1", "<u1", "<i2", "<u2", "<i4", "<u4"])
def test_samples_have_their_bits_and_sign(tmp_path: Path, kind: str) -> None:
    signal = LEADS // 3 + (100 if "u" in kind else 0)
    assert np.abs(signal).max() < (256 if "u" in kind else 128)
    path = written(tmp_path, group(signal, kind))
    np.testing.assert_allclose(values(path, lead="all"), millivolts(signal), atol=1e-12)


def test_eight_bits_in_words_of_big_endian_are_in_order(tmp_path: Path) -> None:
    signal = LEADS[:, :2] // 3
    item = group(signal, "<i1")
    item.WaveformData = np.frombuffer(item.WaveformData, "<u2").astype(">u2").tobytes()
    item["WaveformData"].VR = "OW"
    path = written(tmp_path, item, syntax=BIG_ENDIAN)
    np.testing.assert_allclose(values(path, lead="all"), millivolts(signal), atol=1e-12)


def test_median_beats_are_not_read_even_if_they_come_first_or_are_longer(tmp_path: Path) -> None:
    long = np.concatenate([LEADS, LEADS]) // 2
    for groups in ([median(), group()], [group(), median()], [median(long), group()]):
        np.testing.assert_allclose(values(written(tmp_path, *groups), lead="all"), millivolts(LEADS), atol=1e-12)
    assert "only derived ones" in problem(written(tmp_path, median()))


def test_the_longest_of_several_rhythms_is_read_alone(tmp_path: Path) -> None:
    path = written(tmp_path, group(LEADS[:1000] * 2), group(), group(LEADS[:2000] * 2))
    np.testing.assert_allclose(values(path, lead="all"), millivolts(LEADS), atol=1e-12)


def test_rhythms_of_one_length_need_a_lead(tmp_path: Path) -> None:
    chest = group(LEADS[:, :1] * 2, ChannelDefinitionSequence=[channel("5.6.3-9-7")], MultiplexGroupTimeOffset=2500)
    path = written(tmp_path, group(), chest)
    assert "has 2 recordings of 5 s (I, II, V1; V5); choose a lead" in problem(path)
    np.testing.assert_allclose(values(path, lead="V5")[:, 0], millivolts(LEADS[:, 0] * 2), atol=1e-12)
    assert opened(path, lead="V5").start_time == "2002-11-22T09:10:02.500000"
    np.testing.assert_allclose(values(path, lead="II")[:, 0], millivolts(LEADS[:, 1]), atol=1e-12)


def test_sensitivity_correction_and_baseline_are_applied(tmp_path: Path) -> None:
    item = group()
    first, second, third = item.ChannelDefinitionSequence
    first.ChannelSensitivityCorrectionFactor = 1.25
    second.ChannelBaseline = -300
    third.ChannelSensitivity, third.ChannelSensitivityUnitsSequence = 0.005, code("mV", "UCUM", "millivolt")
    found = values(written(tmp_path, item), lead="all")
    np.testing.assert_allclose(found, millivolts(LEADS) * [1.25, 1, 1] + [0, -0.3, 0], atol=1e-12)


def test_a_missing_correction_factor_is_none(tmp_path: Path) -> None:
    item = group()
    del item.ChannelDefinitionSequence[1].ChannelSensitivityCorrectionFactor
    np.testing.assert_allclose(values(written(tmp_path, item)), millivolts(LEADS[:, 1:2]), atol=1e-12)


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
def test_padding_is_missing(tmp_path: Path, syntax: str) -> None:
    order = ">" if syntax == BIG_ENDIAN else "<"
    signal = LEADS.copy()
    signal[700:720, 1] = signal[-1, 1] = -32768
    item = group(signal, order + "i2", WaveformPaddingValue=np.array(-32768, order + "i2").tobytes())
    found = values(written(tmp_path, item, syntax=syntax), lead="all")
    assert np.flatnonzero(np.isnan(found[:, 1])).tolist() == [*range(700, 720), SAMPLES - 1]
    assert not np.isnan(found[:, [0, 2]]).any()


def test_a_padding_value_that_the_signal_crosses_is_missing_only_for_long(tmp_path: Path) -> None:
    signal = LEADS.copy()
    signal[1000:1300, 1] = 0
    found = values(written(tmp_path, group(signal, WaveformPaddingValue=b"\0\0")), lead="all")
    assert (signal == 0).sum() > 310
    gap = np.flatnonzero(np.isnan(found[:, 1]))
    assert gap[0] in (999, 1000) and gap[-1] in (1299, 1300)
    assert len(gap) <= 302
    assert not np.isnan(found[:, [0, 2]]).any()


@pytest.mark.parametrize(
    ("scheme", "source", "name"),
    [
        ("MDC", "2:1", "I"),
        ("MDC", "2:61", "III"),
        ("MDC", "2:64", "aVF"),
        ("SCPECG", "5.6.3-9-62", "aVR"),
        ("SCPECG", "5.6.3-9-8", "V6"),
        ("LOCAL", "7", "Lead 7"),
        ("MDC", "2:999999", "Lead 2:999999"),
    ],
)
def test_standard_codes_of_leads_are_names(tmp_path: Path, scheme: str, source: str, name: str) -> None:
    item = group(LEADS[:, :1], ChannelDefinitionSequence=[channel(source, scheme=scheme)])
    assert opened(written(tmp_path, item), lead="all").leads == (name,)


def test_missing_and_repeated_names_are_told_apart_by_position(tmp_path: Path) -> None:
    item = group(ChannelDefinitionSequence=[channel("5.6.3-9-2"), channel("5.6.3-9-2"), channel("5.6.3-9-1")])
    del item.ChannelDefinitionSequence[2].ChannelSourceSequence
    path = written(tmp_path, item)
    assert opened(path, lead="all").leads == ("II_1", "II_2", "lead_3")
    np.testing.assert_allclose(values(path, lead="3")[:, 0], millivolts(LEADS[:, 2]), atol=1e-12)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"NumberOfWaveformSamples": SAMPLES + 1}, "15,000 bytes of samples, but states 2,501 samples of 3 channels"),
        ({"NumberOfWaveformSamples": SAMPLES - 1}, "longer than it should be"),
        ({"NumberOfWaveformSamples": 0}, "states 0 samples"),
        ({"NumberOfWaveformSamples": 4_000_000_000}, "states 4,000,000,000 samples"),
        ({"NumberOfWaveformSamples": None}, "NumberOfWaveformSamples is missing"),
        ({"NumberOfWaveformChannels": 2}, "bytes of samples, but states"),
        ({"WaveformBitsAllocated": 12}, "samples of 12 bits"),
        ({"WaveformSampleInterpretation": "MB"}, "interpretation 'MB'"),
        ({"WaveformData": b""}, "has 0 bytes of samples"),
        ({"SamplingFrequency": None}, "give fs in Hz"),
        ({"SamplingFrequency": 0}, "0 Hz; ECG from 100"),
        ({"ChannelDefinitionSequence": None}, "describes 0 channels, but states 3"),
        ({"WaveformPaddingValue": b"\0\0\0\0"}, "WaveformPaddingValue has 4 bytes"),
    ],
)
def test_a_wrong_field_is_an_error(tmp_path: Path, elements: dict[str, Any], message: str) -> None:
    path = written(tmp_path, group(**elements))
    assert message in problem(path)
    if elements == {"SamplingFrequency": None}:
        assert opened(path, fs=500.0).fs == FS


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"ChannelSensitivity": 0}, "sensitivity or correction factor is 0"),
        ({"ChannelSensitivity": None}, "integers look like ADC units; give gain"),
        ({"ChannelSensitivityUnitsSequence": None}, "no unit; give units"),
        ({"ChannelSensitivityUnitsSequence": code("mm[Hg]", "UCUM", "pressure")}, "not a voltage"),
        ({"ChannelSensitivityUnitsSequence": code("zorkmid", "UCUM", "gold")}, "unit 'zorkmid' is unknown"),
        ({"ChannelSampleSkew": 40}, "later than other channels"),
        ({"ChannelTimeSkew": 0.1}, "later than other channels"),
    ],
)
def test_a_wrong_channel_is_an_error(tmp_path: Path, elements: dict[str, Any], message: str) -> None:
    item = group()
    for name, value in elements.items():
        for one in item.ChannelDefinitionSequence:
            if value is None:
                delattr(one, name)
            else:
                setattr(one, name, value)
    assert message in problem(written(tmp_path, item), lead="1")


def test_a_pressure_is_not_a_lead(tmp_path: Path) -> None:
    item = group()
    item.ChannelDefinitionSequence[0].ChannelSensitivityUnitsSequence = code("mm[Hg]", "UCUM", "pressure")
    path = written(tmp_path, item)
    assert opened(path, lead="all").leads == ("II", "V1")


def test_options_that_contradict_the_file_are_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, group())
    assert "omit fs" in problem(path, fs=250.0)
    assert "omit units" in problem(path, units="mV")


def test_a_damaged_median_means_a_damaged_file(tmp_path: Path) -> None:
    bad = median()
    bad.WaveformData = bad.WaveformData[:-2]
    assert "multiplex group MEDIAN BEAT" in problem(written(tmp_path, group(), bad))


def test_dicom_without_waveforms_is_named(tmp_path: Path) -> None:
    assert "is DICOM without waveforms (12-lead ECG Waveform Storage)" in problem(written(tmp_path))
    path = written(tmp_path, group())
    content = path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4\0", 1)
    path.write_bytes(content)
    assert "transfer syntax '1.2.840.10008.1.2.4'" in problem(path)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED])
def test_cut_and_altered_files_are_never_misread(tmp_path: Path, syntax: str) -> None:
    kind = ">i2" if syntax == BIG_ENDIAN else "<i2"
    content = written(tmp_path, group(kind=kind), group(LEADS[:300], kind), syntax=syntax).read_bytes()
    padding = 1 if syntax == DEFLATED else 0  # to an even length
    assert_cut_and_altered_files_are_never_misread(tmp_path / "b.dcm", content, seed=4, padding=padding)


def test_a_deflated_file_cannot_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom, "MAX_BYTES", 1_000_000)
    path = written(tmp_path, group(), syntax=DEFLATED)
    assert len(values(path)) == SAMPLES
    head = path.read_bytes()
    length = 128 + 4 + 12 + int.from_bytes(head[140:144], "little")
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(head[:length] + stream.compress(b"\0" * 50_000_000) + stream.flush())
    assert "deflated data set is too large" in problem(path)


def test_deep_sequences_are_an_error(tmp_path: Path) -> None:
    item = group()
    inner = channel("1")
    for _ in range(40):
        outer = Dataset()
        outer.ChannelSourceSequence = [inner]
        inner = outer
    item.ChannelDefinitionSequence = [inner, *item.ChannelDefinitionSequence[1:]]
    assert "nested deeper than" in problem(written(tmp_path, item))


def test_an_element_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, group())
    content = path.read_bytes()
    place = content.index(b"\0\x54\0\x01SQ")
    path.write_bytes(content + content[place:])
    assert "stands twice" in problem(path)

"""Tests of resting ECGs in XML of Philips, and of their compression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_study.ecg_data.readers.clinical.philips import decode_xli
from ecg_study.errors import RecordError
from tests.ecg_data.clinical.signals import FS, SAMPLES, digital, millivolts, opened, problem, values
from tests.ecg_data.clinical.writers import philips, write_text, xli

CHEST = ("V1", "V2", "V3")
LIMB = ("I", "II", "III", "aVR", "aVL", "aVF")


def chest() -> list[np.ndarray]:
    return [digital(position) for position in range(len(CHEST))]


def made_text() -> str:
    return philips(xli(chest()), CHEST, SAMPLES)


@pytest.fixture
def text() -> str:
    return made_text()


def written(tmp_path: Path, text: str, old: str = "", new: str = "") -> Path:
    assert old in text
    return write_text(tmp_path / "a.xml", text.replace(old, new, 1), "utf-16")


def test_compressed_waveforms_are_read_with_their_units_rate_and_time(tmp_path: Path, text: str) -> None:
    recording = opened(written(tmp_path, text), lead="all")
    assert (recording.fs, recording.leads, recording.samples) == (FS, CHEST, SAMPLES)
    assert recording.start_time == "2020-05-18T15:48:11"
    np.testing.assert_allclose(values(recording.path, lead="all"), millivolts(np.column_stack(chest())), atol=1e-12)


def test_waveforms_without_compression_are_read(tmp_path: Path) -> None:
    content = np.concatenate(chest()).astype("<i2").tobytes()
    for compression in ("Uncompressed", ""):
        path = written(tmp_path, philips(content, CHEST, SAMPLES, compression=compression))
        np.testing.assert_allclose(values(path, lead="all"), millivolts(np.column_stack(chest())), atol=1e-12)
    assert "bytes of waveforms, but states" in problem(
        written(tmp_path, philips(content[:-2], CHEST, SAMPLES, compression=""))
    )


def test_limb_leads_are_restored_from_their_differences(tmp_path: Path) -> None:
    one, two = digital(0), -3 * digital(1) // 2
    rng = np.random.default_rng(1)
    residuals = [rng.integers(-2, 3, SAMPLES) for _ in range(4)]
    three = two - one - residuals[0]
    # Halves are rounded toward 0.
    half = [np.trunc(total / 2).astype(int) for total in (one + two, one - three, two + three)]
    expected = [one, two, three, -half[0] - residuals[1], half[1] - residuals[2], half[2] - residuals[3]]
    path = written(tmp_path, philips(xli([one, two, *residuals]), LIMB, SAMPLES))
    np.testing.assert_allclose(values(path, lead="all"), millivolts(np.column_stack(expected)), atol=1e-12)


def test_limb_leads_in_another_order_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, philips(xli([digital(k) for k in range(6)]), LIMB[::-1], SAMPLES))
    assert "limb leads in an unusual order" in problem(path)


def test_channels_without_a_lead_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, philips(xli([*chest(), np.zeros(SAMPLES)]), CHEST, SAMPLES))
    np.testing.assert_allclose(values(path, lead="all"), millivolts(np.column_stack(chest())), atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<documentversion>1.04", "<documentversion>2.00", "version '2.00'; 1.03"),
        ('compression="XLI"', 'compression="ZIP"', "compression 'ZIP'; Base64 and XLI can be read"),
        ('dataencoding="Base64"', 'dataencoding="Plain"', "encoding 'Plain'"),
        ('numberofleads="3"', 'numberofleads="12"', "states 12 leads, but names 3"),
        ('samplespersecond="500"', 'samplespersecond="250"', "states samplespersecond twice, as '250' and '500'"),
        ('resolution="5"', 'resolution="2.5"', "states resolution twice, as '2.5' and '5.0'"),
        ('resolution="5"', 'resolution="five"', "states resolution twice"),
        ("<signaloffset>0", "<signaloffset>2048", "offset 2048"),
        ("<signalsigned>True", "<signalsigned>False", "signalsigned 'false'"),
        ("<bitspersample>16", "<bitspersample>12", "12 bits per sample"),
        ('durationperchannel="5000"', 'durationperchannel="5001.5"', "2,500.75 samples at 500 Hz"),
        ('durationperchannel="5000"', 'durationperchannel="4000"', "does not have 2,000 samples when decompressed"),
        ('durationperchannel="5000"', 'durationperchannel="6000"', "does not have 3,000 samples when decompressed"),
        ('durationperchannel="5000"', 'durationperchannel="1e12"', "samples can be read"),
        ('durationperchannel="5000"', "", "durationperchannel is missing"),
        ("<parsedwaveforms ", "<otherwaveforms/><parsedwaveforms ", ""),
        ("<parsedwaveforms ", "<parsedwaveforms/><parsedwaveforms ", "has 2 parsed waveforms"),
    ],
)
def test_a_wrong_field_is_an_error(tmp_path: Path, text: str, old: str, new: str, message: str) -> None:
    path = written(tmp_path, text, old, new)
    if not message:
        assert len(values(path)) == SAMPLES
        return
    assert message in problem(path)


def test_facts_that_version_1_03_has_in_elements_only_are_read(tmp_path: Path) -> None:
    names = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    zeros = [np.zeros(SAMPLES, np.int64)] * 4
    text = philips(xli([digital(0), digital(1), *zeros, *(digital(k) for k in range(6))]), names, SAMPLES)
    for old, new in (
        ("<documentversion>1.04", "<documentversion>1.03"),
        (f'leadlabels="{" ".join(names)}"', ""),
        ('numberofleads="12"', ""),
        ('samplespersecond="500" resolution="5"', ""),
        ("<resolution>5.0</resolution>", "<signalresolution>5</signalresolution>"),
        ('compression="XLI"', 'compressflag="True" compressmethod="XLI"'),
        ("<bitspersample>16", "<leadset>STD-12</leadset><bitspersample>16"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = written(tmp_path, text)
    assert opened(path, lead="all").leads == names
    np.testing.assert_allclose(values(path, lead="III")[:, 0], millivolts(digital(1) - digital(0)), atol=1e-12)
    assert "of the set 'MASON' without names" in problem(written(tmp_path, text, "STD-12", "MASON"))


def test_repeated_names_are_told_apart_by_position(tmp_path: Path) -> None:
    path = written(tmp_path, philips(xli(chest()), ("V1", "V1", "V1"), SAMPLES))
    assert opened(path, lead="all").leads == ("V1_1", "V1_2", "V1_3")


@given(
    st.lists(
        st.lists(st.integers(-2000, 2000), min_size=300, max_size=300) | st.just([0] * 300), min_size=1, max_size=4
    )
)
def test_compression_is_undone_exactly(channels: list[list[int]]) -> None:
    found = decode_xli(Path("a"), xli([np.array(channel) for channel in channels]), samples=300)
    np.testing.assert_array_equal(found, channels)


@given(st.integers(0, 10_000), st.integers(0, 1 << 30))
def test_cut_or_altered_compression_has_the_stated_samples_or_is_an_error(place: int, change: int) -> None:
    content = xli([digital(0, 300), digital(1, 300)])
    place %= len(content)
    altered = bytearray(content)
    altered[place] ^= change % 255 + 1
    for damaged in (content[:place], bytes(altered)):
        try:
            found = decode_xli(Path("a"), damaged, samples=300)
        except RecordError:
            continue
        assert all(channel.shape == (300,) for channel in found)


def test_small_content_cannot_fill_the_memory() -> None:
    chunk = xli([np.zeros(50_000)])
    with pytest.raises(RecordError, match="more than 32 channels"):
        decode_xli(Path("a"), chunk * 33, samples=50_000)

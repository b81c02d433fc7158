"""Tests of ECGs of an Apple Health export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ecg_study.ecg_data.readers.content import TABLE, detect_format, read_head
from tests.ecg_data.clinical.signals import opened, problem, tolerant, values
from tests.recordings import SIGNAL

FS = 512.0
MICROVOLTS = np.round(1000 * SIGNAL[:5120], 3)

ENGLISH = (
    "Name,Pat Example",
    'Date of Birth,"Feb 5, 1952"',
    "Recorded Date,2020-02-05 09:14:40 -0400",
    "Classification,Sinus Rhythm",
    "Symptoms,",
    "Software Version,1.51",
    'Device,"Watch5,4"',
    "Sample Rate,512 hertz",
    "",
    "",
    "Lead,Lead I",
    "Unit,µV",
    "",
)

LANGUAGES = {
    "German": {
        "Name,Pat Example": "Name",
        "Date of Birth": "Geburtsdatum",
        "Recorded Date": "Aufzeichnungsdatum",
        "Classification,Sinus Rhythm": "Klassifizierung,Sinusrhythmus",
        "Symptoms": "Symptome",
        "Device": "Gerät",
        "Sample Rate,512 hertz": "Messrate,512\N{NO-BREAK SPACE}Hertz",
        "Lead,Lead I": "Ableitung,Ableitung I",
        "Unit": "Einheit",
    },
    "Spanish": {
        "Sample Rate,512 hertz": "Frecuencia de muestreo,512 hercios",
        "Lead,Lead I": "Derivación,Derivación I",
    },
    "Russian": {"Sample Rate,512 hertz": "Частота выборки,512 герц", "Unit": "Единица"},
    "Japanese": {
        "Sample Rate,512 hertz": "サンプリングレート,512ヘルツ",
        "Unit": "単位",
        "Lead,Lead I": "誘導,第I誘導",
    },
}


def rows(numbers: np.ndarray = MICROVOLTS, *, decimal: str = ".") -> list[str]:
    """Return samples as an export writes them: up to three decimals, without zeros at the end."""
    return [f"{value:.3f}".rstrip("0").rstrip(".").replace(".", decimal) for value in numbers]


def written(
    folder: Path,
    *,
    header: Sequence[str] = ENGLISH,
    samples: Sequence[str] | None = None,
    encoding: str = "utf-8",
    **changes: str,
) -> Path:
    """Write an export; ``changes`` replaces the lines that begin with a key, in which ``_`` is a space."""
    path = folder / "ecg_2020-02-05.csv"
    lines = []
    for line in header:
        key = line.partition(",")[0].replace(" ", "_").lower()
        lines += changes[key].split("\n") if key and key in changes else [line]
    path.write_bytes("\n".join([*lines, *(rows() if samples is None else samples), ""]).encode(encoding))
    return path


def without(key: str) -> list[str]:
    return [line for line in ENGLISH if not line.startswith(f"{key},")]


def assert_is_the_signal(path: Path, **options: object) -> None:
    np.testing.assert_allclose(values(path, **options)[:, 0], MICROVOLTS / 1000, atol=1e-9)


def test_rate_unit_lead_and_start_are_read(tmp_path: Path) -> None:
    recording = opened(written(tmp_path))
    assert (recording.fs, recording.leads, recording.samples) == (FS, ("Lead I",), len(MICROVOLTS))
    assert recording.start_time == "2020-02-05T09:14:40-04:00"
    assert_is_the_signal(recording.path)
    assert_is_the_signal(recording.path, lead="Lead I", fs=FS, units="uV")


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("language", LANGUAGES)
def test_any_language_and_decimal_mark_is_read(tmp_path: Path, language: str, decimal: str) -> None:
    header = "\n".join(ENGLISH)
    for english, other in LANGUAGES[language].items():
        header = header.replace(english, other)
    path = written(tmp_path, header=header.split("\n"), samples=rows(decimal=decimal))
    assert opened(path).fs == FS
    assert opened(path).leads[0].removeprefix("第").startswith(("Ableitung I", "Derivación I", "Lead I", "I誘導"))
    assert_is_the_signal(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    assert_is_the_signal(written(tmp_path, encoding=encoding))


@pytest.mark.parametrize(
    ("rate", "fs"),
    [
        ("511.798 hertz", 511.798),
        ("511,422 hertz", 511.422),
        ("512Hz", 512.0),
        ('"511,562\N{NO-BREAK SPACE}Hertz"', 511.562),
        ("0.512 kHz", 512.0),
        ("512.844", 512.844),
    ],
)
def test_fractional_rates_are_read(tmp_path: Path, rate: str, fs: float) -> None:
    for decimal in ".,":
        path = written(tmp_path, sample_rate=f"Sample Rate,{rate}", samples=rows(decimal=decimal))
        if rate == "512.844" and decimal == ",":
            continue  # without a unit, two columns are as likely
        assert opened(path).fs == pytest.approx(fs)


def test_a_blank_line_is_a_missing_sample(tmp_path: Path) -> None:
    samples = rows()
    samples[700] = ""
    found = values(written(tmp_path, samples=samples))[:, 0]
    assert np.flatnonzero(np.isnan(found)).tolist() == [700]
    assert len(found) == len(MICROVOLTS)


def test_missing_metadata_are_requested(tmp_path: Path) -> None:
    path = written(tmp_path, header=without("Sample Rate"))
    assert "give fs in Hz" in problem(path)
    assert_is_the_signal(path, fs=FS)
    path = written(tmp_path, header=without("Unit"))
    assert "has no unit; give units" in problem(path)
    assert_is_the_signal(path, units="uV")
    path = written(tmp_path, unit="Единица,мкВ")
    assert "unit 'мкВ' is unknown; give units" in problem(path)
    assert_is_the_signal(path, units="uV")
    assert opened(written(tmp_path, header=without("Lead"))).leads == ("lead_1",)


def test_a_rate_in_an_unknown_language_is_requested(tmp_path: Path) -> None:
    path = written(tmp_path, sample_rate="Rythme,512 oscillations")
    assert "give fs in Hz" in problem(path)
    assert_is_the_signal(path, fs=FS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate": "Sample Rate,512 bpm"}, "is not a number in Hz"),
        ({"sample_rate": "Sample Rate,1.234,5 hertz"}, "is not a number in Hz"),
        ({"sample_rate": "Taux,x9 hertz"}, "is not a number in Hz"),
        ({"sample_rate": "Sample Rate,512 hertz\nMessrate,256 Hertz"}, "states several sampling rates: 256 Hz, 512 Hz"),
        ({"sample_rate": "Sample Rate,512 hertz\nSample Rate,256 hertz"}, "'Sample Rate' is stated twice"),
        ({"sample_rate": "Sample Rate,20000 hertz"}, "20000 Hz; ECG from 100"),
        ({"unit": "Unit,mmHg"}, "none of its leads (Lead I) is a voltage"),
        ({"unit": "Unit,counts"}, "has ADC units ('counts'); give gain"),
        ({"unit": "Unit,V"}, "too large for an ECG"),
        ({"unit": "Einheit,mV\nUnit,µV"}, "states several units: mV, µV"),
        ({"lead": "Lead,Lead I\nLead,Lead II"}, "'Lead' is stated twice, as 'Lead I' and as 'Lead II'"),
    ],
)
def test_wrong_metadata_are_an_error(tmp_path: Path, change: dict[str, str], message: str) -> None:
    assert message in problem(written(tmp_path, **change))


def test_options_that_contradict_the_file_are_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, sample_rate="Sample Rate,511.798 hertz")
    assert "511.798 Hz, but fs is 512 Hz" in problem(path, fs=512.0)
    assert "units is 'mV'" in problem(path, units="mV")
    assert "omit gain" in problem(path, gain=100.0)
    assert "time_column" in problem(path, time_column="none")


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize(
    "line",
    ["Lead,Lead II", "# note", "12.5 # note", "12;5", "1 5", "--5", "1.234,5", "inf", "note", "3,4,5"],
)
def test_a_line_that_is_not_a_sample_is_an_error(tmp_path: Path, decimal: str, line: str) -> None:
    samples = rows(decimal=decimal)
    samples[3000] = line
    message = problem(written(tmp_path, samples=samples))
    assert "line 3,014" in message
    assert "number" in message or "columns" in message or "not a sample" in message


def test_exports_that_a_spreadsheet_wrote_again_are_read(tmp_path: Path) -> None:
    path = written(tmp_path)
    text = path.read_text()
    path.write_text("\n".join(line if "," in line else f"{line}," for line in text.splitlines()))
    assert (opened(path).fs, opened(path).leads) == (FS, ("Lead I",))
    assert_is_the_signal(path)
    path.write_text(path.read_text() + "5\n")
    problem(path)


def test_a_missing_blank_line_before_the_samples_does_not_matter(tmp_path: Path) -> None:
    assert_is_the_signal(written(tmp_path, header=ENGLISH[:-1]))


@pytest.mark.parametrize(("decimal", "line"), [(".", "-12,345"), (",", "-12.345"), (".", "1,5"), (",", "1.5")])
def test_both_decimal_marks_in_one_file_are_an_error(tmp_path: Path, decimal: str, line: str) -> None:
    samples = rows(decimal=decimal)
    samples[4000] = line
    assert "line 4,014" in problem(written(tmp_path, samples=samples))


def test_a_file_without_samples_is_an_error(tmp_path: Path) -> None:
    assert "no samples after the lines with metadata" in problem(written(tmp_path, samples=[]))
    content = written(tmp_path).read_bytes()
    for end in range(10, content.index("µV".encode()), 17):
        (tmp_path / "a.csv").write_bytes(content[:end])
        problem(tmp_path / "a.csv")


def test_two_recordings_in_one_file_are_an_error(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes() * 2)
    assert "'Name,Pat Example' in column Lead I is not a number" in problem(path)


def test_a_huge_file_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path)
    with open(path, "r+b") as file:
        file.truncate(40_000_000)
    assert "40,000,000 bytes" in problem(path)


@pytest.mark.parametrize("decimal", [".", ","])
def test_tables_with_metadata_before_them_are_still_tables(tmp_path: Path, decimal: str) -> None:
    path = tmp_path / "a.csv"
    metadata = ["Name,Pat", "Recorded Date,2020-02-05 09:14:40 -0400", "Site,A", "Device,B", "Sample Rate,512 Hz"]
    for mark, names in ((",", "time,ecg_uV"), (";", "time;ecg_uV")):
        if mark == decimal:
            continue
        table = [f"{at / FS:.6f}{mark}{value:.3f}".replace(".", decimal) for at, value in enumerate(MICROVOLTS)]
        path.write_text("\n".join([*(line.replace(",", mark) for line in metadata), names, *table, ""]))
        recording = opened(path)
        assert (recording.fs, recording.leads) == (FS, ("ecg",))
        assert_is_the_signal(path)
    # A single column has its name above it.
    for between in ([], [""]):
        path.write_text("\n".join([*metadata, "ecg (uV)", *between, *rows(), ""]))
        assert opened(path).leads == ("ecg",)
        assert_is_the_signal(path)
    # Integers of two columns look like numbers with a decimal comma.
    table = [f"{at},{round(value)}" for at, value in enumerate(MICROVOLTS)]
    for between in ([], [""]):
        path.write_text("\n".join([*metadata, "sample,ecg_uV", *between, *table, ""]))
        np.testing.assert_allclose(values(path)[:, 0], np.rint(MICROVOLTS) / 1000, atol=1e-9)


@pytest.mark.parametrize("names", ["sample,uV", "time,uV", "s,mV", "a,b"])
@pytest.mark.parametrize("between", [[], [""]])
def test_two_columns_of_integers_are_a_table_unless_a_unit_is_above_them(
    tmp_path: Path, names: str, between: list[str]
) -> None:
    metadata = ["Name,Pat", "Recorded Date,2020-02-05 09:14:40 -0400", "Site,A", "Device,B", "Sample Rate,512 Hz"]
    table = [f"{at},{round(value)}" for at, value in enumerate(MICROVOLTS)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join([*metadata, names, *between, *table, ""]))
    assert detect_format(path, read_head(path)) is TABLE
    path.write_text("\n".join([*metadata, "Unit,uV", *between, *table, ""]))
    assert (detect_format(path, read_head(path)) is TABLE) is (not between)


def test_cut_and_altered_files_are_never_misread(tmp_path: Path) -> None:
    content = written(tmp_path, samples=rows()[:800]).read_bytes()
    path = tmp_path / "a.csv"
    rng = np.random.default_rng(3)
    for place in rng.integers(0, 400, 150).tolist():
        altered = bytearray(content)
        altered[place] ^= int(rng.integers(1, 256))
        path.write_bytes(altered)
        found = tolerant(lambda: values(path, lead="1"))
        assert found is None or (found.shape[0] in (799, 800, 801) and found.shape[1] == 1)

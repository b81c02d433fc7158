"""Sound files of all formats that are cut and altered at random, each read: ``python -m … FORMAT FOLDER``."""

from __future__ import annotations

import gzip
import resource
import signal as signals
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import wfdb

from ecg_study.ecg_data.readers.opening import open_recording
from ecg_study.ecg_data.readers.recording import ReadOptions
from ecg_study.ecg_data.readers.wfdb import read_annotations
from ecg_study.errors import EcgStudyError
from tests.ecg_data.arrays import test_matlab, test_matlab73, test_npz
from tests.ecg_data.clinical import test_aecg, test_dicom, test_ishne, test_muse, test_philips, test_scp
from tests.ecg_data.clinical.writers import scp
from tests.ecg_data.devices import test_apple, test_biopac, test_opensignals, test_opensignals_hdf5
from tests.ecg_data.devices.acq_writer import acq
from tests.recordings import FS, SIGNAL, TIMES, write_edf, write_rows, write_table, write_wfdb

MUTATIONS = 150
SECONDS = 10
MEMORY_BYTES = 1_000_000_000

SHORT, TIMES_SHORT = SIGNAL[:2500], TIMES[:2500]


def _wfdb(folder: Path) -> list[Path]:
    record = write_wfdb(folder, SHORT, SHORT / 2)
    wfdb.wrann("r", "atr", np.arange(100, 2400, 200), ["N"] * 12, fs=FS, write_dir=str(folder))
    return [record.with_suffix(".hea"), record.with_suffix(".dat"), record.with_suffix(".atr")]


def _table(folder: Path) -> list[Path]:
    write_table(folder / "a.csv", "time_s,II_mV,V5 (uV),note", TIMES_SHORT, SHORT, 500 * SHORT, ["x"] * 2500)
    return [folder / "a.csv"]


def _quoted(folder: Path) -> list[Path]:
    rows = [f'"{time:.3f}";"{value:.4f}"'.replace(".", ",") for time, value in zip(TIMES_SHORT, SHORT, strict=True)]
    return [write_rows(folder / "a.txt", '# units: mV\n"time (s)";"ecg"', rows, end="\r\n")]


def _utf_16(folder: Path) -> list[Path]:
    rows = write_table(folder / "a.csv", "", TIMES_SHORT, SHORT, mark="\t")
    (folder / "a.csv").write_bytes("\n".join(["time_s\tecg (mV)", *rows]).encode("utf-16"))
    return [folder / "a.csv"]


def _array(folder: Path) -> list[Path]:
    np.save(folder / "a.npy", np.column_stack([SHORT, SHORT / 2]))
    return [folder / "a.npy"]


def _compressed(folder: Path) -> list[Path]:
    content = write_edf(folder / "b.edf", SHORT).read_bytes()
    (folder / "a.edf.gz").write_bytes(gzip.compress(content))
    return [folder / "a.edf.gz"]


FORMATS: dict[str, Callable[[Path], list[Path]]] = {
    "wfdb": _wfdb,
    "table": _table,
    "quoted table": _quoted,
    "table in UTF-16": _utf_16,
    "edf": lambda folder: [write_edf(folder / "a.edf", SHORT, SHORT / 2)],
    "bdf": lambda folder: [write_edf(folder / "a.bdf", SHORT, bits=24)],
    "array": _array,
    "compressed": _compressed,
    "archive": lambda folder: [test_npz.written(folder, compressed=True, II=SHORT, V5=SHORT / 2, fs=FS)],
    "matlab 4": lambda folder: [test_matlab.written(folder, form="4", ecg=SHORT, fs=FS, units="mV")],
    "matlab 5": lambda folder: [test_matlab.written(folder, ecg={"val": SHORT, "fs": FS, "leads": ["II"]})],
    "matlab 5, compressed": lambda folder: [test_matlab.written(folder, compressed=True, ecg=SHORT, fs=FS)],
    "matlab 7.3": lambda folder: [test_matlab73.written(folder, ecg={"val": SHORT, "fs": FS, "leads": ["II"]})],
    "opensignals hdf5": lambda folder: [test_opensignals_hdf5.written(folder)],
    "dicom": lambda folder: [test_dicom.written(folder, test_dicom.group())],
    "scp": lambda folder: [test_scp.written(folder, scp(test_scp.bodies()))],
    "aecg": lambda folder: [test_aecg.written(folder, test_aecg.made_text())],
    "ishne": lambda folder: [test_ishne.written(folder)],
    "muse": lambda folder: [test_muse.written(folder, test_muse.made_text())],
    "philips": lambda folder: [test_philips.written(folder, test_philips.made_text())],
    "apple": lambda folder: [test_apple.written(folder, samples=test_apple.rows()[:3000])],
    "opensignals": lambda folder: [test_opensignals.written(folder, rows=test_opensignals.table()[:2500])],
    "acqknowledge": lambda folder: [test_biopac.written(folder)],
    "acqknowledge, compressed": lambda folder: [test_biopac.written(folder, acq([test_biopac.ECG], compressed=True))],
}
"""Format → function that writes its files into a folder; each of them is altered."""


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a content that is cut, or of which some bytes are changed, removed, repeated or inserted."""
    size = len(content)
    place = int(rng.integers(0, size))
    # Half of the changes are at the start, where headers are.
    place = place if rng.random() < 0.5 else min(place, int(rng.integers(0, min(size, 600))))
    length = int(rng.integers(1, 40))
    random = rng.integers(0, 256, length, np.uint8).tobytes()
    numbers = rng.choice([b"9", b"-1", b"0", b"1e9", b"99999999", b"nan", b",", b";", b'"', b"#", b"\n", b"\0"])
    kind = int(rng.integers(0, 7))
    return (
        content[:place],
        content[:place] + random + content[place + length :],
        content[:place] + content[place + length :],
        content[:place] + content[place : place + length] * 30 + content[place + length :],
        content[:place] + random + content[place:],
        content[:place] + bytes([content[place] ^ 1 << int(rng.integers(0, 8))]) + content[place + 1 :],
        content[:place] + bytes(numbers) + content[place + len(numbers) :],
    )[kind]


def _read_all(path: Path) -> str:
    """Read a recording in each way that may find a fault; return what is wrong with the outcome, or nothing."""
    if path.suffix == ".atr":
        annotations = read_annotations(path.with_suffix(""))
        return "" if len(annotations.samples) == len(annotations.symbols) else "lengths differ"
    for options in (ReadOptions(lead="all"), ReadOptions(lead="1", fs=FS), ReadOptions(fs=FS, gain=1.0)):
        try:
            recording = open_recording(path, options)
            blocks = list(recording.blocks())
        except EcgStudyError as error:
            if "\n" in str(error) or not str(error).isprintable():
                return f"an error of more than one line: {error!r}"
            continue
        if len(set(recording.leads)) < len(recording.leads) or not all(recording.leads):
            return f"leads {recording.leads}"
        total = sum(len(block) for block in blocks)
        if recording.samples not in (None, total) or any(block.ndim != 2 for block in blocks):
            return f"{total} samples of {recording.samples}"
    return ""


def mutate(name: str, folder: Path) -> list[str]:
    """Read mutations of the files of a format; return each fault."""

    def too_slow(*_: object) -> None:
        raise TimeoutError(f"took more than {SECONDS} s")

    signals.signal(signals.SIGALRM, too_slow)
    files = FORMATS[name](folder)
    rng = np.random.default_rng(sum(map(ord, name)))
    for path in files:
        _read_all(path)  # imports what reading needs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    faults = []
    for number in range(MUTATIONS * len(files)):
        path = files[number % len(files)]
        sound = path.read_bytes()
        path.write_bytes(mutated(sound, rng))
        signals.alarm(SECONDS)
        try:
            fault = _read_all(path)
        except EcgStudyError:
            fault = ""
        except BaseException as error:  # noqa: BLE001  # any other error is a fault, which the test reports
            fault = f"{type(error).__name__}: {error}"
        signals.alarm(0)
        path.write_bytes(sound)
        if fault:
            faults.append(f"{path.name}, mutation {number}: {fault}"[:500])
    if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 > MEMORY_BYTES:
        faults.append("took more than 1 GB")
    return faults


if __name__ == "__main__":
    found = mutate(sys.argv[1], Path(sys.argv[2]))
    print("\n".join(found))
    sys.exit(bool(found))

"""WFDB records: headers, signals and annotations."""

from ecg_study.ecg_data.readers.wfdb.annotations import BEAT_SYMBOLS, Annotations, read_annotations
from ecg_study.ecg_data.readers.wfdb.header import WfdbHeader, WfdbSignal, read_header
from ecg_study.ecg_data.readers.wfdb.record import open_wfdb, read_record, record_files

__all__ = [
    "BEAT_SYMBOLS",
    "Annotations",
    "WfdbHeader",
    "WfdbSignal",
    "open_wfdb",
    "read_annotations",
    "read_header",
    "read_record",
    "record_files",
]

"""What is written of a recording: tables, WFDB files, a summary, a picture."""

from checkpoints.writing.beats import write_annotations, write_beats_csv
from checkpoints.writing.signals import write_record, write_samples_csv
from checkpoints.writing.summary import Summary, summarise_beats, summarise_cleaned, write_summary

__all__ = [
    "Summary",
    "summarise_beats",
    "summarise_cleaned",
    "write_annotations",
    "write_beats_csv",
    "write_record",
    "write_samples_csv",
    "write_summary",
]

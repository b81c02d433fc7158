"""From a raw record to cached segments: reading, databases, splits, noise, segments and labels, cache.

Importing this package is light; ``wfdb`` and ``tensorflow`` are imported where they are used.
"""

from ecg_data.cache import Entry, SegmentCache, SegmentSettings, open_cache
from ecg_data.databases import ATTRIBUTION, DATABASES, Database, Progress, open_database, split_database
from ecg_data.errors import BadRecordsError, RecordError, StudyError
from ecg_data.noise import gaussian_noise
from ecg_data.records import Record, read_record
from ecg_data.splits import PARTS, Split

__all__ = [
    "ATTRIBUTION",
    "DATABASES",
    "PARTS",
    "BadRecordsError",
    "Database",
    "Entry",
    "Progress",
    "Record",
    "RecordError",
    "SegmentCache",
    "SegmentSettings",
    "Split",
    "StudyError",
    "gaussian_noise",
    "open_cache",
    "open_database",
    "read_record",
    "split_database",
]

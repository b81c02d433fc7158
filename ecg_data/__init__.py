"""From a raw record to cached segments: reading, databases, splits, noise, segments and labels, cache.

Importing this package is light; ``wfdb`` and ``tensorflow`` are imported where they are used.
"""

from ecg_data.cache import Entry, SegmentCache, SegmentSettings, open_cache
from ecg_data.databases import ATTRIBUTION, DATABASES, Database, Progress, open_database, split_database
from ecg_data.errors import BadRecordsError, RecordError, StudyError
from ecg_data.noise import gaussian_noise
from ecg_data.records import Record, read_record
from ecg_data.splits import PARTS, Split
from ecg_data.transfer import CacheReference, PackedSegments, find_cache, pack_segments, refer_to, unpack_segments

__all__ = [
    "ATTRIBUTION",
    "DATABASES",
    "PARTS",
    "BadRecordsError",
    "CacheReference",
    "Database",
    "Entry",
    "PackedSegments",
    "Progress",
    "Record",
    "RecordError",
    "SegmentCache",
    "SegmentSettings",
    "Split",
    "StudyError",
    "find_cache",
    "gaussian_noise",
    "open_cache",
    "open_database",
    "pack_segments",
    "read_record",
    "refer_to",
    "split_database",
    "unpack_segments",
]

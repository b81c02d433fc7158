"""From a raw record to cached segments: reading, databases, splits, noise, segments and labels, cache.

Importing this package is light; ``wfdb`` and ``tensorflow`` are imported where they are used.
"""

from ecg_data.cache import Entry, SegmentCache, SegmentSettings, open_cache, read_for
from ecg_data.databases import (
    ATTRIBUTION,
    DATABASES,
    LICENCES,
    VERSIONS,
    Database,
    Progress,
    open_database,
    split_database,
)
from ecg_data.errors import BadRecordsError, RecordError, StudyError
from ecg_data.noise import gaussian_noise
from ecg_data.nstdb import NoiseRecords, noise_directory, open_noise
from ecg_data.records import Annotations, Record, read_annotations, read_record
from ecg_data.splits import PARTS, Split
from ecg_data.transfer import CacheReference, PackedSegments, find_cache, pack_segments, refer_to, unpack_segments

__all__ = [
    "ATTRIBUTION",
    "DATABASES",
    "LICENCES",
    "PARTS",
    "VERSIONS",
    "Annotations",
    "BadRecordsError",
    "CacheReference",
    "Database",
    "Entry",
    "NoiseRecords",
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
    "noise_directory",
    "open_cache",
    "open_database",
    "open_noise",
    "pack_segments",
    "read_annotations",
    "read_for",
    "read_record",
    "refer_to",
    "split_database",
    "unpack_segments",
]

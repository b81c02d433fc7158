"""Noise that is added to clean records."""

from __future__ import annotations

import zlib

import numpy as np


def gaussian_noise(samples: int, sigma: float, seed: int, record: str, lead: str) -> np.ndarray:
    """White Gaussian noise for one lead of one record, float32 of shape ``(samples,)``, in mV.

    It depends on the seed, the record and the lead alone, so that the noise on a whole record is the noise on its
    cached segments, and no two records share theirs.

    Args:
        samples: length of the record.
        sigma: standard deviation in mV.
        seed: seed of the study.
        record: name of the record.
        lead: name of the lead.
    """
    rng = np.random.default_rng([seed, zlib.crc32(record.encode()), zlib.crc32(lead.encode())])
    return rng.standard_normal(samples, dtype=np.float32) * np.float32(sigma)

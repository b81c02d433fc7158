"""OpenSignals HDF5 files of biosignalsplux and BITalino."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ecg_study.ecg_data.readers.arrays.hdf5 import members, opened_hdf5, stored_array
from ecg_study.ecg_data.readers.arrays.named import NamedArray
from ecg_study.ecg_data.readers.channels import Channel, recording_from_channels
from ecg_study.ecg_data.readers.devices.opensignals_header import is_sensor_type, start_time_of
from ecg_study.ecg_data.readers.recording import ReadOptions, Recording
from ecg_study.errors import RecordError

_COUNTER = "nSeq"
_COUNTER_LENGTHS = (16, 128, 256, 4096, 32768, 65536)
"""Samples after which the counters of devices start again."""

_ADC_UNITS = "ADC units"


def open_opensignals_hdf5(path: Path, options: ReadOptions) -> Recording:
    """Open an OpenSignals HDF5 file of one or several devices. Its samples are ADC values.

    Raises:
        RecordError: the file is not of OpenSignals, damaged or truncated; its attributes contradict its samples;
            samples are lost; or lead, gain or sampling rate cannot be used.
    """
    channels: list[Channel] = []
    starts = []
    with opened_hdf5(path) as file:
        for name, device in members(path, file):
            if "raw" not in device or "sampling rate" not in device.attrs:
                raise RecordError(path, "is an HDF5 file, but not of OpenSignals or MATLAB; save the signal as .npz")
            channels += _channels(path, name, device)
            starts.append(start_time_of({key: _text(device.attrs.get(key, "")) for key in ("date", "time")}))
        if not channels:
            raise RecordError(path, "has no channels")
        return recording_from_channels(path, channels, options=options, noun="channels", start_time=starts[0])


def _channels(path: Path, name: str, device: Any) -> Iterator[Channel]:
    """Yield the channels of a device."""
    fs = _number(path, name, device.attrs, "sampling rate")
    samples = int(_number(path, name, device.attrs, "nsamples"))
    for member, dataset in members(path, device["raw"]):
        array = stored_array(path, dataset, name=member)
        if array is None or array.shape not in ((samples,), (samples, 1)):
            found = getattr(dataset, "shape", "another form")
            problem = f"{member[:60]} of device {name[:60]} has the shape {found}, but its header {samples:,} samples"
            raise RecordError(path, f"{problem}; the file is damaged")
        if array.dtype.kind not in "iu":
            raise RecordError(path, f"{member[:60]} of device {name[:60]} has fractions instead of ADC values")
        if member == _COUNTER:
            _check_counter(path, name, array)
            continue
        yield Channel(_name(dataset.attrs, member), _ADC_UNITS, fs, samples, _reader(array))


def _reader(array: NamedArray) -> Any:
    def read(start: int, end: int) -> np.ndarray:
        return array.part((slice(start, end), *(0 for _ in array.shape[1:]))).astype(np.float64)

    return read


def _number(path: Path, device: str, attributes: Any, key: str) -> float:
    value = np.asarray(attributes.get(key, np.nan)).reshape(-1)
    if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value[0]) or value[0] <= 0:
        raise RecordError(path, f"device {device[:60]}: {key} is missing or not a positive number")
    return float(value[0])


def _name(attributes: Any, member: str) -> str:
    """Return the name of a channel: the type of its sensor, or else its label."""
    sensor, label = _text(attributes.get("sensor", "")), _text(attributes.get("label", ""))
    return sensor if is_sensor_type(sensor) else label or member


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip()
    return str(value).strip() if isinstance(value, str) else ""


def _check_counter(path: Path, device: str, array: NamedArray) -> None:
    """Check that the counter of a device counts each sample.

    Raises:
        RecordError: it skips or repeats a number.
    """
    counter = array.part(tuple(slice(None) for _ in array.shape)).reshape(-1).astype(np.int64)
    length = next((length for length in _COUNTER_LENGTHS if counter.max() < length), 0)
    steps = np.diff(counter)
    wrong = (steps != 1) & ~((counter[1:] == 0) & (counter[:-1] == length - 1))
    if wrong.any():
        place = int(wrong.argmax())
        found = f"counts {counter[place]:,}, then {counter[place + 1]:,} at sample {place + 1:,}"
        raise RecordError(path, f"device {device[:60]} {found}; samples are lost, so split the recording there")

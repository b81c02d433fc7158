"""Check of an ONNX file before it is opened: only what `convert_to_onnx` writes, in Protobuf form, of bounded size.

The bytes are walked before Protobuf parses them, because a small file can have millions of empty messages. ONNX Runtime
then gets the checked message written anew, never the file: it would take some files for its own FlatBuffer format.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_study.errors import ModelError
from ecg_study.formatting import printable
from ecg_study.models.network_size import MAX_MODEL_BYTES, MAX_RANK, NetworkError, NetworkSize
from ecg_study.models.onnx_shapes import ATTRIBUTES, OPERATORS, size_per_segment

if TYPE_CHECKING:
    import onnx

ONNX_BATCH_SEGMENTS = 8
"""Segments per call of ONNX Runtime. Measured on one machine: 0.8 to 0.9 times as long per segment as in batches of 64,
with a fifth of the memory, presumably because the data stays in the cache of a core."""

OPSET = 21
IR_VERSION = 10  # version of the file format that belongs to the opset; newer runtimes read it too
PRODUCER = "ecg-study"

_FIELDS = {
    "ModelProto": "ir_version opset_import producer_name graph",
    "OperatorSetIdProto": "domain version",
    "GraphProto": "node name initializer input output",
    "NodeProto": "input output name op_type domain attribute",
    "AttributeProto": "name type i s ints",
    "TensorProto": "dims data_type name raw_data",
    "ValueInfoProto": "name type",
    "TypeProto": "tensor_type",
    "Tensor": "elem_type shape",
    "TensorShapeProto": "dim",
    "Dimension": "dim_value dim_param",
}
"""Fields that `convert_to_onnx` writes, by message."""

_REFUSED = {
    **dict.fromkeys(("external_data", "data_location"), "data in other files"),
    **dict.fromkeys(("functions", "ref_attr_name", "overload"), "functions"),
    **dict.fromkeys(("g", "graphs"), "nested graphs"),
    **dict.fromkeys(("sparse_initializer", "sparse_tensor", "sparse_tensors", "sparse_tensor_type"), "sparse data"),
    "training_info": "steps of a training",
    "metadata_props": "metadata",
}
"""Words for fields that a stranger might expect to be read; others are named as in the file format."""

_MAX_FIELDS = 20_000  # the largest pretrained model has 330
_MAX_DEPTH = 10  # a dimension of an input is at depth 7
_MAX_TEXT = 1_000  # bytes of a name
_VARINT, _BYTES, _LONGEST_VARINT = 0, 2, 10
_FIXED = {1: 8, 5: 4}  # bytes of a number of fixed width, by wire type


@dataclass(frozen=True)
class CheckedOnnx:
    """An ONNX model that has been checked.

    Attributes:
        content: The model, written anew from what was checked.
        segment_samples: Samples per segment at the input and output.
        size: Memory and work per segment.
    """

    content: bytes
    segment_samples: int
    size: NetworkSize


def check_onnx(content: bytes, path: Path) -> CheckedOnnx:
    """Refuse an ONNX file with anything that `convert_to_onnx` does not write, or that is too large to run.

    Args:
        content: Content of the file.
        path: Path of the file, for messages.

    Raises:
        ModelError: The content is not ONNX. Or it has other operators or attributes, data in other files, another input
            or output, or results whose shape is not known or too large.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if len(content) > MAX_MODEL_BYTES:
        raise ModelError(f"{path}: has {len(content):,} bytes, more than the limit of {MAX_MODEL_BYTES:,}")
    try:
        _walk(memoryview(content), onnx.ModelProto.DESCRIPTOR)
        model = onnx.ModelProto.FromString(content)
    except (_DamagedError, DecodeError) as error:
        raise ModelError(f"{path}: not an ONNX model ({' '.join(str(error).split())})") from error
    except _ForeignError as error:
        raise ModelError(f"{path}: has {error}, which no model of this project uses; not opened") from error
    foreign = sorted(set(_foreign(model)))
    if foreign:
        listed = printable(", ".join(foreign[:5]))[:200]
        raise ModelError(f"{path}: has {listed}, which no model of this project uses; not opened")
    try:
        segment_samples = _segment_samples(model.graph)
        size = size_per_segment(model.graph, segment_samples=segment_samples, most_segments=ONNX_BATCH_SEGMENTS)
    except NetworkError as error:
        raise ModelError(f"{path}: {printable(str(error))}; not opened") from error
    model.DiscardUnknownFields()  # such as a second type of an attribute that has no name
    model.producer_name = PRODUCER  # at the place where ONNX Runtime looks for the mark of its own format
    return CheckedOnnx(model.SerializeToString(deterministic=True), segment_samples, size)


class _DamagedError(ValueError):
    """The bytes are not a Protobuf message of ONNX."""


class _ForeignError(ValueError):
    """The message has a field that `convert_to_onnx` does not write."""


def _walk(content: memoryview, message: Any) -> None:
    """Check the fields of a Protobuf message and of all messages in it, without building them.

    Args:
        content: The message.
        message: Its descriptor.

    Raises:
        ValueError: A field is unknown or not allowed, or the message is damaged or has too many fields.
    """
    waiting, count = [(content, message, 0)], 0
    while waiting:
        part, kind, depth = waiting.pop()
        allowed = _FIELDS[kind.name].split()
        for number, wire_type, value in _fields(part):
            count += 1
            if count > _MAX_FIELDS or depth > _MAX_DEPTH:
                raise _ForeignError(f"more than {_MAX_FIELDS:,} fields")
            field = kind.fields_by_number.get(number)
            if field is None:
                raise _ForeignError(f"unknown data (field {number} of {kind.name})")
            if field.name not in allowed:
                raise _ForeignError(_REFUSED.get(field.name, f"{field.name} in {kind.name}"))
            if field.message_type is not None:
                if wire_type != _BYTES:
                    raise _DamagedError(f"{field.name} is not a message")
                waiting.append((value, field.message_type, depth + 1))
            elif field.type in (field.TYPE_STRING, field.TYPE_BYTES):
                _check_text(field, wire_type, value)
            # A list of integers may be packed into one field.
            elif wire_type in _FIXED or (
                wire_type == _BYTES and (field.name not in ("dims", "ints") or len(value) > _MAX_TEXT)
            ):
                raise _DamagedError(f"{field.name} is not a number")


def _check_text(field: Any, wire_type: int, value: memoryview) -> None:
    if wire_type != _BYTES:
        raise _DamagedError(f"{field.name} is not text")
    if field.name == "raw_data":
        return
    if len(value) > _MAX_TEXT:
        raise _ForeignError(f"a {field.name} of {len(value):,} bytes")
    try:
        str(value, "utf-8")
    except UnicodeDecodeError as error:
        raise _DamagedError(f"{field.name} is not UTF-8 text") from error


def _fields(content: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield the number, the wire type and the content of each field of a Protobuf message.

    References:
        https://protobuf.dev/programming-guides/encoding/
    """
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        number, wire_type = tag >> 3, tag & 7
        if number == 0 or wire_type not in (_VARINT, _BYTES, *_FIXED):
            raise _DamagedError(f"field {number} of type {wire_type}")
        length, start = (_FIXED[wire_type], place) if wire_type in _FIXED else _varint(content, place)
        place = start if wire_type == _VARINT else start + length
        if place > len(content):
            raise _DamagedError("it ends too early")
        yield number, wire_type, content[start:place]


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    """Return the integer at a place, and the place after it."""
    value = 0
    for digit in range(_LONGEST_VARINT):
        if place + digit >= len(content):
            raise _DamagedError("it ends too early")
        byte = content[place + digit]
        value |= (byte & 0x7F) << 7 * digit
        if byte < 0x80:
            return value, place + digit + 1
    raise _DamagedError("it has a number of more than 64 bits")


def _foreign(model: onnx.ModelProto) -> Iterator[str]:
    """Yield what a model has and `convert_to_onnx` does not write."""
    versions = [(item.domain, item.version) for item in model.opset_import]
    if versions != [("", OPSET)] or model.ir_version != IR_VERSION:
        listed = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in versions[:5])
        yield f"operators of {listed or 'no version'} in format {model.ir_version}"
    for node in model.graph.node:
        if node.domain:
            yield f"operators of {node.domain}"
        if node.op_type not in OPERATORS:
            yield node.op_type
            continue
        names = [item.name for item in node.attribute]
        for item in node.attribute:
            kind = item.AttributeType.Name(item.type) if item.type in item.AttributeType.values() else item.type
            if (node.op_type, item.name, kind) not in ATTRIBUTES or names.count(item.name) > 1:
                yield f"{node.op_type} with {item.name}"
    for tensor in model.graph.initializer:
        width = {tensor.FLOAT: 4, tensor.INT64: 8}.get(tensor.data_type, 0)
        wrong = len(tensor.dims) > MAX_RANK or any(length < 1 for length in tensor.dims)
        if wrong or math.prod(tensor.dims) * width != len(tensor.raw_data):
            yield f"a constant of type {tensor.data_type} and shape {tuple(tensor.dims)[:8]}"


def _segment_samples(graph: onnx.GraphProto) -> int:
    """Return the samples per segment of a graph.

    Raises:
        NetworkError: There is not one input and one output, both float32 of shape ``(batch, segment_samples, 1)``.
    """
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise NetworkError(f"has {len(graph.input)} inputs and {len(graph.output)} outputs, not one of each")
    lengths = []
    for item in (*graph.input, *graph.output):
        kind = item.type.tensor_type
        dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in kind.shape.dim]
        samples = dims[1] if len(dims) == 3 else None
        fixed = not dims or isinstance(dims[0], int)
        if kind.elem_type != 1 or fixed or not isinstance(samples, int) or samples < 1 or dims[2] != 1:
            listed = ", ".join(str(dim) or "?" for dim in dims[:8])
            raise NetworkError(
                f"{item.name!r} has the shape ({listed}) and type {kind.elem_type}, not float32 segments"
            )
        lengths.append(samples)
    if lengths[0] != lengths[1]:
        raise NetworkError(f"reads segments of {lengths[0]} samples and returns {lengths[1]}")
    return lengths[0]

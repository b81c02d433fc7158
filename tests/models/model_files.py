"""Model files that a stranger could make: ONNX graphs, Keras files with other parts, and cards that vouch for them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ecg_study.errors import ModelError
from ecg_study.inference.loading import PRETRAINED_DIR
from ecg_study.models.onnx_file import check_onnx
from ecg_study.models.runtimes import OnnxRuntime

SEGMENT = 2016
"""Samples per segment of the pretrained models."""

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SHAPE = ("batch", SEGMENT, 1)

ONNX_PATH = Path("folder") / "model.onnx"

Value = tuple[str, int, tuple[Any, ...]]


def node(operator: str, inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    """Return an operator; the names of its inputs are separated by spaces."""
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def onnx_model(
    *nodes: onnx.NodeProto,
    inputs: tuple[Value, ...] = (("x", FLOAT, SHAPE),),
    outputs: tuple[Value, ...] = (("y", FLOAT, SHAPE),),
    opsets: tuple[tuple[str, int], ...] = (("", 21),),
    **constants: Any,
) -> onnx.ModelProto:
    """Return a model from ``x`` to ``y`` with named constants, in the form that this project writes."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset_imports = [helper.make_opsetid(*opset) for opset in opsets]
    return helper.make_model(graph, opset_imports=opset_imports, ir_version=10, producer_name="ecg-study")


def copy_pretrained(directory: Path, name: str = "gru-detector") -> Path:
    """Copy a pretrained model to ``directory``."""
    return Path(shutil.copytree(PRETRAINED_DIR / name, directory))


def edit_card(directory: Path, **changes: Any) -> Path:
    """Change fields of a card."""
    path = directory / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    return directory


def seal(directory: Path) -> Path:
    """Store the hashes of the present model files in the card, as whoever changes a model can."""
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.glob("model.*")}
    return edit_card(directory, sha256=hashes)


def with_onnx(directory: Path, model: onnx.ModelProto | bytes) -> Path:
    """Replace the ONNX file of a model folder, and vouch for it."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    (directory / "model.onnx").write_bytes(content)
    return seal(directory)


def keras_members(name: str = "gru-detector") -> dict[str, bytes]:
    """Return the members of a pretrained Keras file."""
    with zipfile.ZipFile(PRETRAINED_DIR / name / "model.keras") as archive:
        return {member: archive.read(member) for member in archive.namelist()}


def keras_file(compression: int = zipfile.ZIP_STORED, name: str = "gru-detector", **parts: bytes) -> bytes:
    """Return a Keras file; ``config``, ``metadata`` and ``weights`` replace its members."""
    names = {"config": "config.json", "metadata": "metadata.json", "weights": "model.weights.h5"}
    members = keras_members(name) | {names[key]: value for key, value in parts.items()}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return target.getvalue()


def opened(model: onnx.ModelProto | bytes) -> OnnxRuntime:
    """Return the runtime of a model."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return OnnxRuntime(check_onnx(content, ONNX_PATH), ONNX_PATH)


def refused(model: onnx.ModelProto | bytes, match: str) -> None:
    """Check that a model is refused in one line with its path."""
    with pytest.raises(ModelError, match=match) as caught:
        opened(model)
    assert str(caught.value).startswith(f"{ONNX_PATH}: ") and "\n" not in str(caught.value)

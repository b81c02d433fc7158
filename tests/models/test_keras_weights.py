"""Tests of the weights in Keras files from strangers: plain float32 arrays of the shapes of the layers, or refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ecg_study.errors import ModelError
from ecg_study.inference.loading import load_model
from ecg_study.models.keras_file import check_keras
from tests.models.model_files import copy_pretrained, keras_file, keras_members, seal

PATH = Path("folder") / "model.keras"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
SOUND = keras_members()["model.weights.h5"]
GRU = "layers/bidirectional/forward_layer/cell/vars/1"


def refused(content: bytes, match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        check_keras(content, PATH)
    assert str(caught.value).startswith(f"{PATH}: ") and "\n" not in str(caught.value)


def weights(change: Callable[[h5py.File], None]) -> bytes:
    target = io.BytesIO(keras_members()["model.weights.h5"])
    with h5py.File(target, "r+") as file:
        change(file)
    return target.getvalue()


def replaced(file: h5py.File, *shape: int, name: str = GRU, **options: Any) -> None:
    del file[name]
    file.create_dataset(name, shape, **{"dtype": np.float32} | options)


def linked(link: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[GRU]
        file[GRU] = link

    return change


def linked_group(file: h5py.File) -> None:
    file.move("layers", "elsewhere")
    file["layers"] = h5py.SoftLink("/elsewhere")


def virtual(file: h5py.File) -> None:
    del file[GRU]
    layout = h5py.VirtualLayout((64, 192), np.float32)
    layout[:] = h5py.VirtualSource("private.h5", "data", (64, 192))
    file.create_virtual_dataset(GRU, layout)


def group(file: h5py.File) -> None:
    del file[GRU]
    file.create_group(GRU)


SHAPE = (64, 192)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda file: replaced(file, 10**9, chunks=(1000,)),
            r"has float32 of shape \(1000000000,\) at .*, not float32",
        ),
        (lambda file: replaced(file, *SHAPE, chunks=(64, 192)), "compressed, missing or distant data"),
        (lambda file: replaced(file, *SHAPE, compression="gzip"), "compressed, missing or distant data"),
        (lambda file: replaced(file, *SHAPE), "compressed, missing or distant data"),  # without any values
        (lambda file: replaced(file, *SHAPE, external=[("private.bin", 0, 49152)]), "distant data"),
        (lambda file: replaced(file, *SHAPE, dtype=np.float64, data=np.zeros(SHAPE)), "has float64 of shape"),
        (lambda file: replaced(file, *SHAPE, dtype=">f4", data=np.zeros(SHAPE, ">f4")), "has >f4 of shape"),
        (lambda file: replaced(file, *SHAPE, dtype=h5py.string_dtype()), "has object of shape"),
        (lambda file: replaced(file, 192, 64, data=np.zeros((192, 64), np.float32)), r"of shape \(192, 64\)"),
        (linked(h5py.ExternalLink("private.h5", "/data")), "has a link at"),
        (linked(h5py.SoftLink("/layers/dense/vars/0")), "has a link at"),
        (linked_group, "has a link at"),
        (virtual, "compressed, missing or distant data"),
        (group, "has a group at"),
        (lambda file: file.move("layers", "elsewhere"), "model.weights.h5 lacks layers"),
        (lambda file: file.__delitem__(GRU), "model.weights.h5 lacks layers/bidirectional"),
    ],
)
def test_weights_that_keras_does_not_write_are_refused(change: Callable[[h5py.File], None], match: str) -> None:
    refused(keras_file(weights=weights(change)), match)


@pytest.mark.parametrize("content", [b"", SIGNATURE, b"x" * 500_000, SOUND[:-1]], ids=range(4))
def test_damaged_weights_are_reported(content: bytes) -> None:
    refused(keras_file(weights=content), "model.weights.h5 (cannot be read|has .* bytes, fewer than)")


def test_weights_that_are_not_numbers_give_an_error_instead_of_a_result(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["layers/dense_1/vars/1"][:] = np.nan

    directory = copy_pretrained(tmp_path / "model")
    (directory / "model.keras").write_bytes(keras_file(weights=weights(change)))
    detector = load_model(seal(directory), runtime="keras")
    with pytest.raises(ModelError, match=r"model\.keras: the output of the model is not finite"):
        detector.detect(np.random.default_rng(0).normal(size=3000), fs=360.0)  # type: ignore[union-attr]

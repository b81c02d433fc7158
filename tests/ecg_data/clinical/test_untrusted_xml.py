"""Tests of XML from strangers: bounded, without entities, recognized by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecg_study.ecg_data.readers.clinical import xml_tree
from ecg_study.ecg_data.readers.content import xml_root
from tests.ecg_data.clinical.signals import digital, leads, millivolts, opened, problem, values
from tests.ecg_data.clinical.writers import aecg, aecg_lead, aecg_series, muse, muse_wave, write_text

TEXT = muse(muse_wave("Rhythm", leads("I", "II")))
SYSTEM = '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">'


def written(tmp_path: Path, text: str = TEXT, old: str = "", new: str = "") -> Path:
    assert old in text
    return write_text(tmp_path / "a.xml", text.replace(old, new, 1))


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE RestingECG [<!ENTITY a "I">]>',
        '<!DOCTYPE RestingECG [<!ENTITY % a "I">]>',
        '<!DOCTYPE RestingECG [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE RestingECG [<!ENTITY a PUBLIC "a" "http://localhost:9/a">]>',
        '<!DOCTYPE RestingECG [<!NOTATION n SYSTEM "n"><!ENTITY a SYSTEM "a" NDATA n>]>',
        f'<!DOCTYPE RestingECG [<!ENTITY a "{"x" * 100}">'
        + "".join(f'<!ENTITY a{i} "{f"&a{i - 1 if i > 1 else str()};" * 10}">' for i in range(1, 10))
        + "]>",
    ],
)
def test_entities_are_refused(tmp_path: Path, declaration: str) -> None:
    text = TEXT.replace(SYSTEM, declaration).replace("<LeadID>I<", "<LeadID>&a;<")
    assert "entities, which are not read" in problem(written(tmp_path, text))


def test_an_undeclared_entity_is_an_error(tmp_path: Path) -> None:
    assert "uses entities" in problem(written(tmp_path, TEXT, "<LeadID>I<", "<LeadID>&a;<"))
    undeclared = TEXT.replace(SYSTEM, "").replace("<LeadID>I<", "<LeadID>&a;<")
    assert "undefined entity" in problem(written(tmp_path, undeclared))


def test_letters_that_need_an_escape_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT, "<LeadID>I<", "<LeadID>A&amp;B &#x3c;<")
    assert opened(path, lead="1").leads == ("A&B <",)


def test_a_declaration_of_the_document_type_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "restecg.dtd").write_text('<!ENTITY a "X">')
    (tmp_path / "other.dtd").mkdir()
    for declaration in (SYSTEM, '<!DOCTYPE RestingECG SYSTEM "other.dtd">', "<!DOCTYPE RestingECG>", ""):
        path = written(tmp_path, TEXT, SYSTEM, declaration)
        np.testing.assert_allclose(values(path)[:, 0], millivolts(digital(1)), atol=1e-12)


def test_the_number_and_depth_of_elements_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = "<a>" * 100 + "</a>" * 100
    assert "nested deeper than 64" in problem(written(tmp_path, TEXT, "</RestingECG>", f"{deep}</RestingECG>"))
    monkeypatch.setattr(xml_tree, "_MAX_ELEMENTS", 1000)
    wide = "<a/>" * 1001
    assert "more than 1,000 XML elements" in problem(written(tmp_path, TEXT, "</RestingECG>", f"{wide}</RestingECG>"))


def test_the_size_of_a_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_tree, "MAX_BYTES", 5000)
    assert "XML of up to 5,000 bytes is read" in problem(written(tmp_path))


@pytest.mark.parametrize("size", [0.2, 0.5, 0.9, 0.999])
def test_truncated_xml_is_an_error(tmp_path: Path, size: float) -> None:
    assert "not well-formed XML" in problem(written(tmp_path, TEXT[: int(len(TEXT) * size)]))


def test_content_after_the_end_is_an_error(tmp_path: Path) -> None:
    assert "not well-formed XML" in problem(written(tmp_path, TEXT + TEXT))
    assert "not well-formed XML" in problem(written(tmp_path, TEXT + "more"))


def test_an_unknown_encoding_is_an_error(tmp_path: Path) -> None:
    message = problem(written(tmp_path, TEXT, 'encoding="ISO-8859-1"', 'encoding="KLINGON"'))
    assert "encoding" in message


def test_the_content_decides_not_the_extension(tmp_path: Path) -> None:
    for name in ("a.xml", "a.txt", "a.csv", "a.edf", "a.ecg"):
        assert opened(write_text(tmp_path / name, TEXT)).leads == ("II",)


def test_other_xml_is_named(tmp_path: Path) -> None:
    for text, root in (
        ("<?xml version='1.0'?><CardiologyXML/>", "CardiologyXML"),
        ("<!DOCTYPE html><html><body/></html>", "html"),
        ("<svg xmlns='a'/>", "svg"),
    ):
        message = problem(write_text(tmp_path / "a.xml", text))
        assert f"the root element {root!r}; HL7 aECG" in message


@pytest.mark.parametrize(
    ("head", "root"),
    [
        (b"<a/>", "a"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\r\n<!-- <b> -->\n<x:a y='1'>", "a"),
        ("<?xml version='1.0'?><a>".encode("utf-16"), "a"),
        ("<?xml version='1.0'?><a>".encode("utf-16-le"), "a"),
        (b"<!DOCTYPE a [<!ENTITY b '>'> ]><a>", "a"),
        (b"<!DOCTYPE a SYSTEM 'a.dtd'><a>", "a"),
        (b"<!--", ""),
        (b"<!-- -->" * 500, ""),
        (b"<!DOCTYPE a [", ""),
        (b"< 5 mV", ""),
        (b"<3 ECG\n1\n2\n", ""),
        (b"time,ecg", ""),
        (b"", ""),
    ],
)
def test_the_root_element_is_found(head: bytes, root: str) -> None:
    assert xml_root(head) == root


def test_many_numbers_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lead = aecg_lead("MDC_ECG_LEAD_II", digital())
    path = write_text(tmp_path / "a.xml", aecg(aecg_series([lead])))
    for piece in (1, 7, 1000):
        monkeypatch.setattr(xml_tree, "_PIECE", piece)
        np.testing.assert_allclose(values(path)[:, 0], millivolts(digital()), atol=1e-12)

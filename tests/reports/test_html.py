"""The page as one file: whole in itself, safe, and the same as the markdown."""

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from ecg_study.reports.html import to_html

ROOT = Path(__file__).parents[2]
PUBLISHED = sorted(ROOT.glob("docs/*/report.md"))
PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
VOID = {"meta", "link", "img", "br", "hr"}

Attributes = dict[str, str | None]


class Page(HTMLParser):
    """Every element of a page with its attributes and the text straight inside it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes, list[str]]] = []
        self._whole: list[list[str]] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert not self._open, "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        self._whole.append([])
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag, "elements are closed in order"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.elements[self._open[-1]][2].append(data)
        for place in self._open:
            self._whole[place].append(data)

    def whole(self, *tags: str) -> list[str]:
        """All text of each element of these kinds."""
        return ["".join(text) for text, (tag, *_) in zip(self._whole, self.elements, strict=True) if tag in tags]

    def all(self, *tags: str) -> list[tuple[Attributes, str]]:
        """Attributes and own text of each element of these kinds."""
        return [(attributes, "".join(text)) for tag, attributes, text in self.elements if tag in tags]


@pytest.fixture(scope="module", params=PUBLISHED, ids=lambda path: str(path.parent.name))
def source(request: pytest.FixtureRequest) -> Path:
    """A published report."""
    assert isinstance(request.param, Path)
    return request.param


@pytest.fixture(scope="module")
def text(source: Path) -> str:
    """The same as one file."""
    return to_html(source.read_text(encoding="utf-8"), source.parent, "ECG study")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    """The same, taken apart."""
    return Page(text)


def test_nothing_is_fetched_and_nothing_runs(page: Page, text: str) -> None:
    assert page.all("script", "iframe", "object", "embed", "base", "form") == []
    for tag, attributes, _ in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "srcset", "poster", "data", "action") or (name == "href" and tag != "a"):
                assert value is not None and value.startswith("data:"), (tag, name, value)
    (style,) = page.all("style")
    assert "url(" not in style[1] and "@import" not in style[1]
    policies = [item["content"] for item, _ in page.all("meta") if item.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1 and policies[0] is not None
    assert policies[0].startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">\n')


def test_pictures_are_inside_byte_for_byte(page: Page, source: Path) -> None:
    named = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", source.read_text(encoding="utf-8"))
    assert named
    shown = [item for item, _ in page.all("img")]
    assert [item["alt"] for item in shown] == [alt for alt, _ in named]
    assert [caption for _, caption in page.all("figcaption")] == [alt for alt, _ in named]
    for item, (_, path) in zip(shown, named, strict=True):
        kind, _, data = str(item["src"]).partition(",")
        assert kind == "data:image/png;base64"
        assert b64decode(data, validate=True) == (source.parent / unquote(path)).read_bytes()


def test_contents_lead_to_every_section(page: Page) -> None:
    ids = [str(attributes["id"]) for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    sections = dict(zip((f"#{item['id']}" for item, _ in page.all("h2")), page.whole("h2"), strict=True))
    links = dict(zip((str(item["href"]) for item, _ in page.all("a")), page.whole("a"), strict=True))
    assert {href: said for href, said in links.items() if href.startswith("#")} == sections
    assert "#verdict" in sections
    assert {item["aria-labelledby"] for item, _ in page.all("section", "div") if "aria-labelledby" in item} <= set(ids)


def test_headings_of_one_name_have_ids_of_their_own(tmp_path: Path) -> None:
    page = Page(
        to_html("# ECG\n\n## Search\n\n### LSTM\n\n### LSTM\n\n## LSTM: `σ`\n\n## ?\n\n## Search", tmp_path, "t")
    )
    ids = [item["id"] for item, _ in page.all("h1", "h2", "h3")]
    assert ids == ["ecg", "search", "search-lstm", "search-lstm-2", "lstm-σ", "section", "search-2"]
    assert [item["href"] for item, _ in page.all("a")] == ["#search", "#lstm-σ", "#section", "#search-2"]


def test_every_cell_of_every_table_is_there(page: Page, source: Path) -> None:
    lines = source.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|") and not re.fullmatch(r"[|\s:-]+", line)]
    cells = [re.sub("[*`]", "", cell.strip()) for row in rows for cell in row.strip("|").split("|")]
    assert len(page.all("tr")) == len(rows)
    assert page.whole("th", "td") == cells


def test_columns_of_figures_stand_to_the_right(tmp_path: Path) -> None:
    long = "units 16, " * 8
    markdown = f"| record | beats | note | settings |\n| ---: | ---: | --- | --- |\n| 100 | 2,273 | fine | {long} |\n"
    page = Page(to_html(f"{markdown}\n| a |\n| :---: |\n| b |\n", tmp_path, "t"))
    head, body = page.all("th", "td")[:4], page.all("th", "td")[4:8]
    for cells, scopes in ((head, ["col"] * 4), (body, ["row", None, None, None])):
        assert [item.get("class") for item, _ in cells] == ["figure", "figure", None, "long"]
        assert [item.get("scope") for item, _ in cells] == scopes
    assert [item.get("style") for item, _ in page.all("th", "td")[8:]] == ["text-align:center"] * 2


def test_no_line_breaks_within_an_interval(tmp_path: Path) -> None:
    cell = "xqrs 0.9976 [0.9960, 0.9989], *late* -1 [-2, 3]"
    page = Page(to_html(f"| method |\n| --- |\n| {cell} |\n", tmp_path, "t"))
    assert [text for _, text in page.all("span")] == ["0.9976 [0.9960, 0.9989]", "-1 [-2, 3]"]
    assert page.whole("th") == ["method", cell.replace("*", "")]
    assert [item["class"] for item, _ in page.all("th")] == ["mixed", "mixed"]


def test_dangerous_names_are_only_shown(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    worse = '<img src=x onerror="alert(1)">'
    link = "[click](javascript:alert(1))"
    rows = f"| name | {bad} |\n| --- | --- |\n| {worse} | {link} |\n"
    markdown = f'# {bad}\n\n## "><b onclick=x>\n\n{worse}\n\n{bad}\n\n{rows}'
    page = Page(to_html(markdown, tmp_path, "</title><script>"))
    assert page.all("script", "img", "b") == []
    assert [item for item, _ in page.all("a")] == [{"href": "#b-onclick-x"}]
    assert [cell for _, cell in page.all("th", "td")] == ["name", bad, worse, link]
    assert page.all("title") == [({}, "</title><script>")]
    assert page.all("h1")[0][1] == bad


@pytest.mark.parametrize("name", ["plots/gone.png", "plots/gone%20too.png"])
def test_a_missing_picture_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / name.replace("%20", " ")))):
        to_html(f"![plot]({name})", tmp_path, "t")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "https://example.org/a.png", "inside/link.png"])
def test_pictures_from_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(PIXEL)
    (folder / "inside" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ValueError, match=f"{re.escape(name)}: .* outside of"):
        to_html(f"![plot]({name})", folder, "t")


def test_only_pictures_are_taken_for_pictures(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(ValueError, match=r"report\.json: a picture of the page must be one of \.png"):
        to_html("![plot](report.json)", tmp_path, "t")


def test_links_to_files_beside_the_page_stay(tmp_path: Path) -> None:
    page = Page(to_html("[figures](report.json) and [data](https://physionet.org)", tmp_path, "t"))
    assert [item["href"] for item, _ in page.all("a")] == ["report.json", "https://physionet.org"]


def test_a_picture_with_a_space_in_its_name_within_a_line(tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(PIXEL)
    page = Page(to_html("Look: ![plot](<a b.png>).", tmp_path, "t"))
    assert page.all("figure") == []
    assert b64decode(str(page.all("img")[0][0]["src"]).partition(",")[2]) == PIXEL


def test_same_input_same_page(text: str, source: Path) -> None:
    assert to_html(source.read_text(encoding="utf-8"), source.parent, "ECG study") == text

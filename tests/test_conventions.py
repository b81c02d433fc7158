"""The conventions of the code that neither ruff nor mypy nor import-linter checks."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ecg_study.extras import BACKENDS
from tests.tiny import ROOT

PACKAGES = {
    "ecg_study": ROOT / "ecg_study",
    "ecg_study.ecg_data": ROOT / "ecg_data",
    "ecg_study.search_spaces": ROOT / "search_spaces",
    "ecg_study.reports": ROOT / "reports",
}
"""The packages of the library that have a folder of their own, and this folder."""

MOST_MODULES = 10
MOST_LINES = 400
MOST_POSITIONAL = 2

BASE = ("errors", "extras", "files", "progress", "reading", "result_cache", "formatting", "_version")
"""The modules that every package may import."""

KERAS_SIGNATURES = {("update_state", "WindowPrecisionRecallArea")}
"""Methods that Keras calls with positional arguments."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def library() -> dict[Path, ast.Module]:
    """Return the syntax tree of every module of the library."""
    # The links in ecg_study/ lead to folders that are listed themselves.
    files = {
        file.resolve()
        for folder in PACKAGES.values()
        for file in folder.rglob("*.py")
        if "__pycache__" not in file.parts
    }
    assert len(files) > 100
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(files)}


def place(file: Path, line: int = 0) -> str:
    """Return a file and a line as editors open it."""
    name = file.relative_to(ROOT).as_posix()
    return f"{name}:{line}" if line else name


def functions(tree: ast.AST, owner: ast.ClassDef | None = None) -> Iterator[tuple[FunctionNode, ast.ClassDef | None]]:
    """Yield the functions and methods of a module or class, each with its class; not those within functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, node)
        elif isinstance(node, FunctionNode):
            yield node, owner
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from functions(node, owner)


def positional(function: FunctionNode, owner: ast.ClassDef | None) -> list[str]:
    """Return the parameters that a call may give by position, without ``self`` or ``cls``."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    static = any(isinstance(item, ast.Name) and item.id == "staticmethod" for item in function.decorator_list)
    return names if owner is None or static else names[1:]


def is_public(name: str) -> bool:
    """Return whether a name belongs to the interface of its module or class."""
    return not name.startswith("_") or name == "__init__"


def test_pyproject_lists_every_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = set()
    for package, folder in PACKAGES.items():
        for file in folder.rglob("*.py"):
            assert (file.parent / "__init__.py").is_file(), place(file.parent)
            found.add(".".join((package, *file.parent.relative_to(folder).parts)))
    assert sorted(settings["packages"]) == sorted(found)
    assert {package: ROOT / folder for package, folder in settings["package-dir"].items()} == PACKAGES


def test_a_checkout_has_the_packages_where_the_wheel_installs_them() -> None:
    for package, folder in PACKAGES.items():
        link = ROOT / Path(*package.split("."))
        assert link.resolve() == folder.resolve(), package


def test_no_folder_has_more_than_ten_modules() -> None:
    folders: dict[Path, int] = {}
    for file in library():
        if file.name != "__init__.py":
            folders[file.parent] = folders.get(file.parent, 0) + 1
    assert {place(folder): count for folder, count in folders.items() if count > MOST_MODULES} == {}


def test_no_file_has_more_than_400_lines_without_a_reason() -> None:
    """A longer file gives its reason in a comment that starts so: ``# Over 400 lines:``."""
    long = []
    for folder in (*PACKAGES.values(), ROOT / "tests", ROOT / "benchmarks"):
        for file in folder.rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            if text.count("\n") > MOST_LINES and not re.search(r"^# Over 400 lines: \w", text, re.MULTILINE):
                long.append(place(file))
    assert sorted(long) == []


def test_public_functions_take_at_most_two_positional_parameters() -> None:
    many = [
        f"{place(file, function.lineno)} {function.name}({', '.join(positional(function, owner))})"
        for file, tree in library().items()
        for function, owner in functions(tree)
        if is_public(function.name) and (owner is None or is_public(owner.name))
        if (function.name, owner and owner.name) not in KERAS_SIGNATURES
        if len(positional(function, owner)) > MOST_POSITIONAL
    ]
    assert many == []


def test_only_the_command_line_names_its_options() -> None:
    """The library names parameters; ``ecg_study.cli`` knows which option sets each."""
    named = [
        f"{place(file, node.lineno)} {node.value.strip()[:60]!r}"
        for file, tree in library().items()
        if ROOT / "ecg_study" / "cli" not in file.parents
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.search(r"(?<![\w-])--[a-z][a-z-]+|\bstudy\.py\b", node.value)
    ]
    assert named == []


def test_no_module_needs_a_unix() -> None:
    assert [place(file, line) for file, line, module in imports() if module.split(".")[0] == "fcntl"] == []


def test_only_one_module_imports_a_backend_of_keras() -> None:
    """Models, losses and metrics use ``keras.layers`` and ``keras.ops``, and so train on every backend."""
    backend = ROOT / "ecg_study" / "training" / "backend.py"
    found = {(file, module.split(".")[0]) for file, _, module in imports()}
    importing = {file for file, module in found if module in BACKENDS}
    assert {module for file, module in found if file == backend} >= set(BACKENDS)
    assert sorted(place(file) for file in importing - {backend}) == []


def imports() -> Iterator[tuple[Path, int, str]]:
    """Yield every imported module of the library with its place, those within functions included."""
    for file, tree in library().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((file, node.lineno, item.name) for item in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield file, node.lineno, node.module


def test_base_modules_need_little() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "filelock"}
    base = {ROOT / "ecg_study" / f"{name}.py" for name in BASE}
    assert [
        f"{place(file, line)} {module}"
        for file, line, module in imports()
        if file in base and module.split(".")[0] not in allowed
        if module not in {f"ecg_study.{name}" for name in BASE}
    ] == []


def test_init_files_hold_exports_only() -> None:
    wrong = [
        f"{place(file, node.lineno)} {type(node).__name__}"
        for file, tree in library().items()
        if file.name == "__init__.py"
        for node in tree.body
        if not exports(node)
    ]
    assert wrong == []


def exports(node: ast.stmt) -> bool:
    """Return whether a statement imports or names what a package exports, at once or on first use."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return all(exports(item) for item in node.body)
        case ast.FunctionDef():
            return node.name in ("__getattr__", "__dir__")
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name == "__all__" or name.startswith("_")
    return False

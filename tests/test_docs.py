"""The pages are true where a machine can tell: commands, flags, make targets, scripts and files that they name exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from ptq_cli.main import app
from ptq_core.config import PreprocessConfig, QuantizeConfig
from tests.conftest import ROOT

PAGES = sorted(
    [
        ROOT / "README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("examples/*/README.md"),
        ROOT / "runtime/README.md",
    ]
)

NO_SOURCES = {
    ".git",
    *re.findall(r"^/([^/]+)/$", (ROOT / ".gitignore").read_text(encoding="utf-8"), re.MULTILINE),
}
LONGEST_LINE = 120

NOT_YET_SHORT = {
    "README.md",
    "docs/flat_format.md",
    "runtime/README.md",
}
"""Pages that still have lines longer than LONGEST_LINE."""


def every_page() -> list[Path]:
    """All Markdown files but those in folders that hold no sources."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in NO_SOURCES]
    return sorted([*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))])


def commands(page: Path) -> list[list[str]]:
    """Every `ptq …` command line of a page's code blocks and inline code, as words."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^\s{4,}(ptq .*)$", text, re.MULTILINE) + re.findall(r"`(ptq [^`]*)`", text)
    return [shlex.split(line, comments=True) for line in lines]


def flags_of(name: str) -> set[str]:
    command = app.commands[name]
    return {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_ptq_commands_and_flags_exist(page: Path) -> None:
    for words in commands(page):
        if len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
            continue
        assert words[1] in app.commands, words
        for word in words[2:]:
            if re.match(r"-+[a-z]", word):
                assert word.split("=")[0].replace("_", "-") in flags_of(words[1]), f"{page.name}: {words}"


def test_the_command_finder_finds_and_refuses() -> None:
    found = commands(ROOT / "README.md")
    assert any(words[1] == "quantize" and "--image-dir" in words for words in found)
    assert "--no-such-flag" not in flags_of("quantize")
    assert isinstance(app, click.Group)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"(?:`|^\s{4})make ([a-z-]+)", text, re.MULTILINE):
        assert target in targets, f"{page.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), f"{page.name}: {link}"
    for name in re.findall(r"`((?:cli|ptq_core|runtime|configs|scripts|docs|examples)/[\w/.]+)`", text):
        assert (ROOT / name).exists(), f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^[A-Z_]{6,}$|@[A-Z0-9]+@|\bTODO\b|\bTBD\b", text, re.MULTILINE) == []


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs" / "quantization.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    keys = {*QuantizeConfig.__dataclass_fields__, *PreprocessConfig.__dataclass_fields__}
    assert keys - documented == set()


def listed_kernels() -> dict[str, list[int]]:
    """The kernels of every list, and the numbers of their rows that follow the required features."""
    rows = r'\{"(\w+__\w+)",[^,]*((?:,\s*\d+)*)'
    return {
        name: [int(number) for number in re.findall(r"\d+", numbers)]
        for path in ROOT.glob("runtime/src/kernels/*/kernels.cc")
        for name, numbers in re.findall(rows, path.read_text(encoding="utf-8"))
    }


def test_every_kernel_is_documented() -> None:
    listed = listed_kernels()
    text = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    assert {name.split("_")[0] for name in listed} >= {"gemm", "depthwise", "crc32"}
    assert set(re.findall(r"`(\w+__\w+)`", text)) == listed.keys()


def test_tiles_and_packings_of_gemm_kernels_are_those_of_their_list() -> None:
    text = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    documented = {
        name: [int(number) for number in re.findall(r"\d+", numbers)]
        for name, numbers in re.findall(r"^\| `(gemm_\w+)`((?: \| \d+){5}) \|", text, re.MULTILINE)
    }
    float_packing = [1, 1, 0]  # kr, kd and input offset, which float rows do not have
    listed = {
        name: numbers if name.startswith("gemm_i8") else numbers + float_packing
        for name, numbers in listed_kernels().items()
        if name.startswith("gemm")
    }
    assert documented == listed


def test_every_flag_of_opt_is_documented() -> None:
    text = (ROOT / "docs" / "opt.md").read_text(encoding="utf-8")
    assert [
        flag for flag in sorted(flags_of("opt")) if f"`{flag}" not in text and flag not in ("-h", "--help")
    ] == []


@pytest.mark.parametrize(
    "name", sorted({page.relative_to(ROOT).as_posix() for page in every_page()} - NOT_YET_SHORT)
)
def test_no_line_is_too_long(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [(number, line) for number, line in enumerate(lines, 1) if len(line) > LONGEST_LINE] == []

"""The pages are true where a machine can tell: commands, flags, make targets, scripts and files that they name exist."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from kernel_rows import kernel_rows

from ptq_cli.main import COMMANDS, load_command
from ptq_core.config import QuantizeConfig
from ptq_core.options.preprocess import PreprocessOptions
from ptq_core.version import VERSION
from tests.needs import ROOT

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("examples/*/README.md"),
        ROOT / "runtime/README.md",
    ]
)
TRANSLATED = sorted(page for page in PAGES if page.name.endswith(".zh-CN.md"))

NO_SOURCES = {"build", "dist", "out"}
LONGEST_LINE = 120


def every_page() -> list[Path]:
    """All Markdown files but those in folders that hold no sources."""
    tops = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in NO_SOURCES]
    folders = [path for path in tops if path.name == ".github" or not path.name.startswith(".")]
    return sorted([*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))])


def commands(page: Path) -> list[list[str]]:
    """Every `ptq …` command line of a page's code blocks and inline code, as words."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^\s{4,}(ptq .*)$", text, re.MULTILINE) + re.findall(r"`(ptq [^`]*)`", text)
    return [shlex.split(line, comments=True) for line in lines]


def test_every_event_of_the_log_has_its_words() -> None:
    schema = json.loads((ROOT / "ptq_core/schemas/log.schema.json").read_text(encoding="utf-8"))
    names = [event["properties"]["event"]["const"] for event in schema["oneOf"]]
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text] == []


def flags_of(name: str) -> set[str]:
    return {option for parameter in load_command(name).params for option in parameter.opts} | {"--help", "-h"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_ptq_commands_and_flags_exist(page: Path) -> None:
    for words in commands(page):
        if len(words) < 2 or not re.fullmatch(r"[a-z]+", words[1]):
            continue
        assert words[1] in COMMANDS, words
        for word in words[2:]:
            if re.match(r"-+[a-z]", word):
                assert word.split("=")[0].replace("_", "-") in flags_of(words[1]), f"{page.name}: {words}"


def test_the_command_finder_finds_and_refuses() -> None:
    found = commands(ROOT / "README.md")
    assert any(words[1] == "quantize" and "--image-dir" in words for words in found)
    assert "--no-such-flag" not in flags_of("quantize")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"(?:`|^\s{4})make ([a-z-]+)", text, re.MULTILINE):
        assert target in targets, f"{page.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_files_exist(page: Path) -> None:
    shown = r"^(`[\w/.]+`:\n\n)?```.*?^```$"  # a block of code, and the name of the file that it makes
    text = re.sub(shown, "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), f"{page.name}: {link}"
    for name in re.findall(
        r"`((?:cli|ptq_core|runtime|configs|scripts|benchmarks|docs|examples)/[\w/.]+)`", text
    ):
        assert (ROOT / name).exists(), f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_is_left_to_fill_in(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^[A-Z_]{6,}$|@[A-Z0-9]+@|\bTODO\b|\bTBD\b", text, re.MULTILINE) == []


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs" / "quantization.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    keys = {*QuantizeConfig.__dataclass_fields__, *PreprocessOptions.__dataclass_fields__}
    assert keys - documented == set()


def test_every_kernel_is_documented() -> None:
    listed = {row.name for row in kernel_rows(ROOT / "runtime")}
    text = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    assert {name.split("_")[0] for name in listed} >= {"gemm", "depthwise", "crc32"}
    assert set(re.findall(r"`(\w+__\w+)`", text)) == listed


def test_tiles_and_packings_of_gemm_kernels_are_those_of_their_list() -> None:
    text = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    documented = {
        name: re.findall(r"\d+", numbers)
        for name, numbers in re.findall(r"^\| `(gemm_\w+)`((?: \| \d+){5}) \|", text, re.MULTILINE)
    }
    unless_said = {"kr": "1", "kd": "1", "input_offset": "0"}
    columns = ("mr", "nr", "kr", "kd", "input_offset")
    listed = {
        row.name: [{**unless_said, **row.traits}[trait] for trait in columns]
        for row in kernel_rows(ROOT / "runtime")
        if row.family == "gemm"
    }
    assert documented == listed


def test_every_flag_of_opt_is_documented() -> None:
    text = (ROOT / "docs" / "opt.md").read_text(encoding="utf-8")
    assert [
        flag for flag in sorted(flags_of("opt")) if f"`{flag}" not in text and flag not in ("-h", "--help")
    ] == []


@pytest.mark.parametrize("page", every_page(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_is_too_long(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [(number, line) for number, line in enumerate(lines, 1) if len(line) > LONGEST_LINE] == []


def code(page: Path) -> list[str]:
    """Every line of the page's code blocks, indented or fenced, and every command in its text, in order."""
    lines, fenced = list[str](), False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        if fenced or line.startswith("    "):
            lines.append(line)
        elif not line.startswith("```"):
            lines += re.findall(r"`((?:ptq|make|pip|scripts/)[^`]*)`", line)
    return lines


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_translation_has_the_same_commands(page: Path) -> None:
    english = page.with_name(page.name.replace(".zh-CN", ""))
    assert code(page) == code(english)
    assert len(code(page)) > 10
    for one, other in ((page, english), (english, page)):
        assert f"({other.name})" in one.read_text(encoding="utf-8"), f"{one.name} does not name {other.name}"
    tables = [
        re.findall(r"^\| ([`\w+ ]+) \|", text.read_text(encoding="utf-8"), re.MULTILINE)
        for text in (page, english)
    ]
    assert len(tables[0]) == len(tables[1])


def test_commands_that_differ_are_seen(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text `make demo`\n\n    ptq show x\n\n```sh\nadb push\n```\n")
    assert code(tmp_path / "a.md") == ["make demo", "    ptq show x", "```sh", "adb push"]


def test_the_guides_python_runs(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/from_paddle.md, the block after `Here, in Python`, on a model of another size."""
    page = (ROOT / "docs" / "from_paddle.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"Here, in Python:\n\n```python\n(.*?)```", page, re.DOTALL)
    assert "(3, 224, 224)" in block
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mobilenetv1_fp32_model").symlink_to(digits / "model")
    exec(block.replace("(3, 224, 224)", "(3, 32, 32)").replace("batch_nums=10", "batch_nums=1"), {})
    assert (tmp_path / "mobilenetv1_int8_model" / "model.onnx").is_file()


def test_the_guides_parameters_are_all_there() -> None:
    """Every parameter that the guide describes has a row, in both languages."""
    guide = {
        "executor", "scope", "model_dir", "model_filename", "params_filename", "sample_generator", "batch_size",
        "batch_nums", "algo", "quantizable_op_type", "is_full_quantize", "weight_bits", "activation_bits",
        "is_use_cache_file", "cache_dir",
    }  # fmt: skip
    for page in ROOT.glob("docs/from_paddle*.md"):
        rows = set(re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert rows >= guide, page.name


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(
        r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert versions[0] == VERSION


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml"]), ids=str
)
def test_what_the_hosting_site_reads_is_yaml(path: Path) -> None:
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "ISSUE_TEMPLATE" in path.parts:
        assert {"name", "description", "body"} <= read.keys()
    targets = set(re.findall(r"\bmake ([a-z -]+)$", path.read_text(encoding="utf-8"), re.MULTILINE))
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {word for target in targets for word in target.split()} <= known


def test_ci_runs_the_same_script_everywhere() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["all"][
        "steps"
    ]
    assert {"run": ".ci/run"} in steps
    assert "make test SKIP=no" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")

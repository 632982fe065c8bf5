"""One way to declare flags: what holds for every command's help, and where the flags of the configuration stand."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from ptq_cli.flags import Command, FileName, command, default_words, group, option, switch
from ptq_cli.main import COMMANDS, load_command, run
from ptq_cli.quantize_flags import KEYS
from ptq_cli.terminal import echo
from ptq_core.config import QuantizeConfig
from ptq_core.options.preprocess import PreprocessOptions


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run([name, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_stands_under_a_heading_with_its_default(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = load_command(name)
    assert isinstance(made, Command)
    assert [each for part in made.groups for each in part.options] == made.params
    sections = re.split(r"^(\S.*):$", help_of(name, capsys), flags=re.MULTILINE)[1:]
    text = {
        heading: " ".join(body.split()) for heading, body in zip(sections[::2], sections[1::2], strict=True)
    }
    shown = [part for part in made.groups if not all(getattr(each, "hidden", False) for each in part.options)]
    assert list(text) == [*(part.heading for part in shown), "Other"]
    for part in shown:
        for each in part.options:
            if isinstance(each, click.Option) and not each.hidden:
                assert each.opts[-1] in text[part.heading]
                assert each.help
                assert each.help.endswith(default_words(each.default)) or name == "quantize"
    assert " VALUE " not in " ".join(text.values())


def test_every_key_has_one_heading() -> None:
    placed = [dotted for keys in KEYS.values() for dotted in keys]
    keys = {*QuantizeConfig.__dataclass_fields__} - {"preprocess"}
    assert len(placed) == len(set(placed))
    assert set(placed) == keys | {f"preprocess.{name}" for name in PreprocessOptions.__dataclass_fields__}


def test_the_help_of_a_key_tells_choices_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(help_of("quantize", capsys).split())
    assert "--algo NAME threshold algorithm" in text
    assert "(KL, abs_max, direct, min_max, avg, hist, mse, emd, weight_only) [default: KL]" in text
    assert "--batch-size N pictures per batch [default: 10]" in text
    assert "--is-full-quantize [BOOL]" in text
    assert "[default: ]" not in text


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, ""), ((), ""), (False, "false"), ((0.0, 1.5), "0,1.5"), (0.99999, "0.99999"), ("big", "big")],
)
def test_defaults_in_words(value: object, words: str) -> None:
    assert default_words(value) == (words and f" [default: {words}]")


def test_a_switch_is_given_alone_or_with_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    @command(group("All", switch("--on-and-off", help="x"), option("--count", default=1, help="y")), name="t")
    def made(on_and_off: bool, count: int) -> None:
        echo(f"{on_and_off} {count}")

    for given, said in (
        ([], "False 1"),
        (["--on_and_off", "--count=2"], "True 2"),
        (["--on-and-off=false"], "False 1"),
    ):
        made.main(given, standalone_mode=False)
        assert capsys.readouterr().out == f"{said}\n"


@pytest.mark.parametrize(
    "given", [["--json"], ["--json", "true"], ["--json=true"], ["--json", "-"], ["--kernels", "no"]]
)
def test_a_switch_before_a_file_name(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([*given, "nowhere.nb"], ["nowhere.nb", *given]):
        assert run(["show", *arguments]) == 2
        assert "cannot read nowhere.nb" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("raise `timeout_s=`, or lower `repeats=`", "raise --timeout, or lower --repeats"),
        ("`timeout_s=600` with `threads=1,2`: too long", "--timeout 600 with --threads 1,2: too long"),
        ("`device='a b'`", "--device 'a b'"),
        ("`threads` is 2", "`threads` is 2"),  # a field of something else
        ("`batch_size=3`", "`batch_size=3`"),  # no parameter of this command
    ],
)
def test_parameters_become_flags(said: str, shown: str) -> None:
    bench = load_command("bench")
    assert isinstance(bench, Command)
    assert bench.in_flags(said) == shown


def test_a_parameter_that_is_off_by_flag() -> None:
    opt = load_command("opt")
    assert isinstance(opt, Command)
    assert opt.in_flags("`verify=False` writes the file") == "--no-verify writes the file"


def test_errors_of_eval_name_its_flags(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("preprocess: {}\n")
    given = ["eval", "--model", "m.pb", "--labels", "l.txt", "-c", str(tmp_path / "c.yaml"), "--threads=0"]
    assert run(given) == 2
    assert "--batch-size 10 --threads 0\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        *(("bench", flag) for flag in ("--fp32", "--int8", "--result-filename", "--from-json")),
        *(("eval", flag) for flag in ("--model", "--labels", "--image-dir", "--config")),
        *(("opt", flag) for flag in ("--model-file", "--optimize-out", "--visualization-file-output-path")),
        *(("quantize", flag) for flag in ("--model-dir", "--image-dir", "--save-model-path", "--cache-dir")),
    ],
)
def test_a_dash_is_no_file(
    command: str,
    flag: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([command, flag, "-"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", f"error: {flag} -")
    assert "./- is one that is really called so" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("bench", ["--json=-", "--csv=-"]),
        ("bench", ["--markdown=-", "--html=-"]),
    ],
)
def test_standard_output_takes_one_text(
    command: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, *more]) == 2
    assert "- is given to 2 flags\n  rule: standard output takes one text" in capsys.readouterr().err


def test_dash_and_a_file_called_so() -> None:
    for text, found in (("-", Path("-")), ("./-", Path("-").absolute()), ("a/-", Path("a/-"))):
        assert FileName(allow_dash=True).convert(text, None, None) == found

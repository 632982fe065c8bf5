"""`ptq bench --compare`: ratios, verdicts, what differs, exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ptq_cli.main import run
from ptq_core.bench.compare import compare, load_report
from ptq_core.bench.report import BenchReport, StopRule
from ptq_core.errors import InputError
from tests.bench.reports import FP32, PHONE, case, device, report, save


def scaled(factor: float) -> list[float]:
    return [factor * ms for ms in FP32]


def files(tmp_path: Path, old: BenchReport, new: BenchReport) -> tuple[Path, Path]:
    return save(tmp_path / "old.json", old), save(tmp_path / "new.json", new)


def two(tmp_path: Path, factor: float) -> tuple[Path, Path]:
    """Reports of which the second has an INT8 model ``factor`` times as slow."""
    before, after = (report(device("R58M", case(FP32, scaled(share)))) for share in (0.5, 0.5 * factor))
    return files(tmp_path, before, after)


def test_a_saved_report_is_read_back_whole(tmp_path: Path) -> None:
    saved = report(device("R58M", case()), stop=StopRule(1.0, 60.0))
    assert load_report(save(tmp_path / "a.json", saved)) == saved


@pytest.mark.parametrize(
    ("factor", "limit", "verdict"),
    [
        (1.0, None, "same"),
        (1.2, None, "slower"),
        (0.8, None, "faster"),
        (1.2, 1.3, "slower"),
        (1.2, 1.1, "regression"),
        (1.01, 1.0, "unclear"),  # above the limit, but within the noise of the samples
        (1.0, 1.02, "unclear"),
        (1.0, 1.03, "same"),
        (0.8, 1.0, "faster"),
    ],
)
def test_verdicts(tmp_path: Path, factor: float, limit: float | None, verdict: str) -> None:
    fp32, int8 = compare(*two(tmp_path, factor), limit).cases
    assert fp32.verdict == "same" or (
        fp32.verdict == "unclear" and limit is not None and fp32.ratio.high > limit
    )
    assert fp32.ratio.ratio == 1.0
    assert int8.ratio.ratio == pytest.approx(factor)
    assert int8.old_ms == pytest.approx(2.05)
    assert int8.new_ms == pytest.approx(2.05 * factor)
    assert int8.ratio.low <= int8.ratio.ratio <= int8.ratio.high
    assert int8.verdict == verdict


def test_a_regression_ends_with_4(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    old, new = map(str, two(tmp_path, 1.2))
    assert run(["bench", "--compare", old, new]) == 0
    assert run(["bench", "--compare", old, new, "--fail-above", "1.3"]) == 0
    capfd.readouterr()
    assert run(["bench", "--compare", old, new, "--fail-above", "1.05"]) == 4
    out, err = capfd.readouterr()
    header, fp32, int8 = out.splitlines()
    assert " ".join(header.split()) == "model device threads power mode old ms new ms new/old 95% interval"
    assert " ".join(fp32.split()) == "FP32 net_fp32.nb R58M 1 big 4.100 4.100 1.000 [0.976, 1.025] same"
    assert " ".join(int8.split()).startswith("INT8 net_int8.nb R58M 1 big 2.050 2.460 1.200 [")
    assert int8.endswith("regression")
    assert "1 of 2 cases regressed, the worst 1.200 times its old median" in err
    assert "more than 1.05 times" in err


def test_cases_that_vary_too_much_are_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    noisy = [1.0, 3.0] * 10
    old, new = files(
        tmp_path, report(device("R58M", case(noisy, noisy))), report(device("R58M", case(noisy, noisy)))
    )
    assert run(["bench", "--compare", str(old), str(new), "--fail-above", "1.05"]) == 0
    out = capfd.readouterr().out
    assert out.count("unclear") == 2
    assert "warning: 2 of 2 cases vary too much" in out
    assert run(["bench", "--compare", str(old), str(new)]) == 0
    assert "unclear" not in capfd.readouterr().out


def test_what_differs_is_named(tmp_path: Path) -> None:
    first = report(device("R58M", case(), case(threads=2)), repeats=30)
    changed = case(runtime_version="0.2.0", cpu_features="scalar neon")
    int8 = replace(changed.models[1], output_crc32="deadbeef")
    changed = replace(changed, models=(changed.models[0], int8))
    phone = replace(
        PHONE, kernel="6.1", clusters=tuple(replace(c, governor="performance") for c in PHONE.clusters)
    )
    second = report(
        replace(device("R58M", changed, context=phone), error="the cable was pulled"),
        device("emulator-5554", case()),
        repeats=50,
        stop=StopRule(1.0, 60.0),
    )
    old, new = files(tmp_path, first, second)
    comparison = compare(old, new)
    assert [str(c.key) for c in comparison.cases] == [
        f"net_{precision}.nb on R58M, 1 thread, power mode big" for precision in ("fp32", "int8")
    ]
    said = "\n".join(comparison.differences)
    for words in (
        f"only in {old}: net_int8.nb on R58M, 2 threads, power mode big",
        f"only in {new}: net_fp32.nb on emulator-5554, 1 thread, power mode big",
        "repeats 30 → 50",
        "stop none → confidence_percent 1.0, max_seconds 60.0",
        "R58M: kernel 5.10.157 → 6.1",
        "R58M: governor sched_pixel, sched_pixel, sched_pixel → performance, performance, performance",
        "R58M ended early: the cable was pulled",
        "net_int8.nb on R58M, 1 thread, power mode big: runtime_version 0.1.0 → 0.2.0",
        "net_int8.nb on R58M, 1 thread, power mode big: output_crc32 0badcafe → deadbeef",
    ):
        assert words in said
    assert "net_fp32.nb on R58M, 1 thread, power mode big: output_crc32" not in said


NAME, OTHER = {"name": "renamed.nb"}, {"model_sha256": "0" * 64}
SHAPE: dict[str, object] = {"inputs": ("x 1x3x96x96",)}
UNKNOWN: dict[str, object] = {"model_sha256": None, "inputs": ()}  # as older versions wrote it


@pytest.mark.parametrize(
    ("old", "new", "compared", "said"),
    [
        ({}, {}, True, ""),
        ({}, NAME, True, "name net_int8.nb → renamed.nb"),
        (
            {},
            OTHER,
            False,
            "two different models, not compared: net_int8.nb of 888888888888 x 1x3x224x224 and",
        ),
        ({}, SHAPE, False, "and net_int8.nb of 888888888888 x 1x3x96x96"),
        (UNKNOWN, {}, True, "old.json does not say which models it measured"),
        ({}, UNKNOWN, True, "new.json does not say which models it measured"),
        (UNKNOWN, UNKNOWN, True, "told by the names of their files"),
        (UNKNOWN, NAME, False, "net_int8.nb of unknown content and renamed.nb of 888888888888"),
    ],
)
def test_models_are_told_by_their_content(
    tmp_path: Path, old: dict[str, object], new: dict[str, object], compared: bool, said: str
) -> None:
    def measured(changes: dict[str, object]) -> BenchReport:
        fp32, int8 = case().models
        return report(device("R58M", replace(case(), models=(fp32, replace(int8, **changes)))))  # type: ignore[arg-type]

    found = compare(*files(tmp_path, measured(old), measured(new)))
    assert [c.key.precision for c in found.cases] == (["fp32", "int8"] if compared else ["fp32"])
    assert said in "\n".join(found.differences)
    assert ("two different models" in "\n".join(found.differences)) == (not compared)


def test_two_models_alone_are_no_comparison(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = replace(case(), models=tuple(replace(model, model_sha256="0" * 64) for model in case().models))
    old, new = files(tmp_path, report(device("R58M", case())), report(device("R58M", other)))
    assert run(["bench", "--compare", str(old), str(new), "--fail-above", "1.05"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert (
        "have no measurement in common: net_fp32.nb on R58M, 1 thread, power mode big: two different models"
        in err
    )


@pytest.mark.parametrize(
    ("loads", "said"),
    [
        ((1, 1), "same"),
        ((9, 1), "same, busy host (old)"),
        ((1, 9), "same, busy host (new)"),
        ((9, 9), "(old, new)"),
    ],
)
def test_a_busy_host_is_said_beside_the_verdict(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], loads: tuple[float, float], said: str
) -> None:
    old, new = files(
        tmp_path,
        *(report(device("R58M", case(), context=replace(PHONE, load_average=load))) for load in loads),
    )
    assert run(["bench", "--compare", str(old), str(new)]) == 0
    assert all(line.endswith(said) for line in capfd.readouterr().out.splitlines()[1:3])


def test_nothing_differs_between_a_file_and_itself(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", report(device("R58M", case())))
    assert compare(path, path).differences == ()


def test_reports_without_a_common_case_are_named(tmp_path: Path) -> None:
    old, new = files(
        tmp_path,
        report(device("R58M", case(), case(threads=2))),
        report(device("emulator-5554", case())),
    )
    with pytest.raises(InputError) as caught:
        compare(old, new)
    for words in (
        "no measurement in common",
        "net_fp32.nb on R58M, 1 thread",
        "and 1 more",
        "on emulator-5554",
    ):
        assert words in caught.value.problem


def test_a_report_without_a_finished_case_is_named(tmp_path: Path) -> None:
    old, new = files(tmp_path, report(device("R58M", case())), report(device("R58M")))
    with pytest.raises(InputError, match="the second has no finished case"):
        compare(old, new)


def test_samples_of_no_time_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", report(device("R58M", case())))
    document = json.loads(path.read_text(encoding="utf-8"))
    for samples in ([0.0, 1.0], []):
        document["devices"][0]["cases"][0]["models"][1]["samples_ms"] = samples
        path.write_text(json.dumps(document), encoding="utf-8")
        with pytest.raises(InputError, match="no samples, or one of 0 ms"):
            compare(path, path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--compare", "{old}"], "--compare"),
        (["--compare", "{old}", "gone.json"], "gone.json: No such file"),
        (["--compare", "{old}", "{old}", "--fail-above", "0.9"], "--fail-above 0.9"),
        (["--compare", "{old}", "{old}", "--fail-above", "nan"], "--fail-above nan"),
        (["--fail-above", "1.05"], "--fail-above without --compare"),
        (["--fail-above", "1.05", "--int8", "a.nb"], "--fail-above without --compare"),
        (["--compare", "{old}", "{old}", "--int8", "a.nb"], "--int8 together with --compare"),
        (["--compare", "{old}", "{old}", "--html", "a.html"], "--html together with --compare"),
        (["--compare", "{schema1}", "{old}"], "its `schema` is 1, not 2"),
    ],
)
def test_wrong_input_ends_with_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    old = save(tmp_path / "old.json", report(device("R58M", case())))
    schema1 = tmp_path / "schema1.json"
    schema1.write_text('{"schema": 1, "tool": "ptq bench"}', encoding="utf-8")
    assert run(["bench", *(flag.format(old=old, schema1=schema1) for flag in flags)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err

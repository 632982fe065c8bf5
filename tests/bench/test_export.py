"""CSV, Markdown and the page's HTML: what they say, and that nothing from outside becomes markup."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptq_cli.main import run
from ptq_core.bench.export import charts
from ptq_core.bench.export.accuracy import Accuracy
from ptq_core.bench.export.html import page
from ptq_core.bench.export.markdown import to_markdown
from ptq_core.bench.export.rows import COLUMNS, to_csv
from ptq_core.bench.export.words import headline, outputs_words, size_change
from ptq_core.bench.protocol import OpTime
from ptq_core.bench.report import BenchReport
from ptq_core.bench.statistics import Ratio
from ptq_core.pages.svg import axis, escape
from ptq_core.reports import AccuracyReport
from tests.bench.conftest import Fake
from tests.bench.reports import FP32, PHONE, case, device, model, report, rich_report, save

ACCURACY: Accuracy = {
    "fp32": AccuracyReport("out/net_fp32.nb", 0.7123, 0.9012, 1000, 12.0),
    "int8": AccuracyReport("out/net_int8.nb", 0.7091, 0.8991, 1000, 6.0),
}
HOSTILE = "\"><script>alert('x')</script><img src=http://127.0.0.1:9/x>&|`]\n\x00\u202e"


def hostile_report() -> BenchReport:
    ops = (OpTime(HOSTILE, HOSTILE, HOSTILE, 2.0), OpTime("conv", "conv2d", "kernel", 1.0))
    models = (
        model("fp32", FP32, name=HOSTILE, path=HOSTILE, ops=ops[1:]),
        model("int8", FP32, name=f"b{HOSTILE}", ops=ops),
    )
    context = replace(
        PHONE, model=HOSTILE, manufacturer=HOSTILE, soc=HOSTILE, android_version=HOSTILE, kernel=HOSTILE
    )
    measured = replace(case(), models=models, cpu_features=HOSTILE)
    hostile = replace(device(HOSTILE, measured, case(threads=2), context=context), error=HOSTILE)
    return replace(report(hostile), started=HOSTILE)


class Elements(HTMLParser):
    """Tags with their attributes, and all text outside of `style`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open += [] if tag in ("meta", "link") else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data


def test_the_page_is_well_formed_and_says_the_results() -> None:
    elements = Elements(page(rich_report(), ACCURACY))
    assert elements.open == []
    for words in (
        "INT8 is 1.23× to 2.25× as fast as FP32",
        "2026-11-28 01:00 UTC",
        "Google Pixel 7 (2A091FDH2002)",
        "FP32 4.00 MB · 4.00× smaller",
        "70.91%",
        "−0.32 points · 1000 pictures",
        "eats the gain",
        "the clock fell during the run (from 2850 to 2401 MHz with 2 threads)",
        "4 at 1803 MHz; 2 at 2348 MHz; 2 at 2850 MHz",
        "identical to this machine's",
    ):
        assert words in elements.words


def test_nothing_on_the_page_loads_or_runs() -> None:
    for text in (page(rich_report(), ACCURACY), page(hostile_report(), {})):
        elements = Elements(text)
        tags = {tag for tag, _ in elements.tags}
        assert not tags & {"script", "img", "iframe", "object", "embed", "base", "form", "a", "image", "use"}
        for tag, attributes in elements.tags:
            assert not {name for name in attributes if name.startswith("on") or name in ("src", "srcset")}
            assert tag == "link" or "href" not in attributes
        style = text.split("<style>")[1].split("</style>")[0]
        assert "url(" not in style
        assert "@import" not in style
        (policy,) = (
            a["content"] for t, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy is not None
        assert policy.startswith("default-src 'none';")


def test_hostile_names_are_shown_as_they_are_written() -> None:
    text = page(hostile_report(), {"int8": replace(ACCURACY["int8"], model=HOSTILE)})
    shown = HOSTILE.replace("\n", r"\n").replace("\x00", r"\x00").replace("\u202e", r"\u202e")
    elements = Elements(text)
    assert elements.open == []
    assert elements.words.count(shown) >= 8
    assert "<script>" not in text
    assert "\x00" not in text


def test_every_picture_has_words() -> None:
    elements = Elements(page(rich_report(), ACCURACY))
    pictures = [attributes for tag, attributes in elements.tags if tag == "svg" and "role" in attributes]
    titles = [tag for tag, _ in elements.tags if tag == "title"]
    assert len(pictures) > 20
    assert len(titles) == len(pictures) + 1  # and the page's own
    for tag, attributes in elements.tags:
        if tag == "svg":
            nested = "viewbox" in attributes
            assert attributes.get("role") == "img" or attributes.get("aria-hidden") == "true" or nested


@pytest.mark.parametrize(
    "changed",
    [
        report(),
        report(device("R58M")),
        report(replace(device("R58M"), context=None, error="it is gone")),
        report(device("R58M", case([5.0], [2.0]))),
        report(device("R58M", case([3.0] * 20, [2.0] * 20))),
        report(device("R58M", replace(case(), models=case().models[1:], speed_up=None))),
        report(device("R58M", case((np.geomspace(1, 1000, 2000)).tolist(), [0.001] * 1999 + [50.0]))),
    ],
    ids=("nothing", "no case", "no context", "one sample", "constant", "one model", "extreme"),
)
def test_odd_reports_have_a_page_too(changed: BenchReport) -> None:
    text = page(changed, {})
    assert Elements(text).open == []
    assert "nan" not in text
    assert len(text) < 300_000
    assert to_markdown(changed, {}).startswith("## ")
    assert len(to_csv(changed).splitlines()) == 1 + sum(
        len(c.models) for d in changed.devices for c in d.cases
    )


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ([(2.0, 1.9, 2.1)], "INT8 is 2.00× as fast as FP32"),
        ([(2.0, 1.9, 2.1), (3.0, 2.9, 3.1)], "INT8 is 2.00× to 3.00× as fast as FP32"),
        ([(0.8, 0.7, 0.9)], "INT8 is slower than FP32: 0.80× its speed"),
        ([(1.0, 0.9, 1.1)], "INT8 and FP32: no difference was shown (1.00×)"),
        ([(2.0, 1.9, 2.1), (1.1, 0.9, 1.2)], "INT8 against FP32: 1.10× to 2.00×, not faster in every case"),
        ([], "Latency of nothing: no case was finished"),
    ],
)
def test_the_headline_is_no_stronger_than_the_intervals(gains: Any, words: str) -> None:
    cases = [case(speed_up=Ratio(*gain)) for gain in gains]
    assert headline(report(device("R58M", *cases))) == words


def test_the_headline_claims_nothing_from_an_emulated_processor() -> None:
    emulated = device("qemu:cortex-a76", case(), emulated=True)
    assert "says nothing about a real one" in headline(report(emulated))
    several = page(report(replace(emulated, cases=(case(), case(threads=2)))), {})
    assert "Speed-up" not in several
    slower = device("R58M", case(FP32, [1.5 * ms for ms in FP32]))
    assert headline(report(emulated, slower)) == "INT8 is slower than FP32: 0.67× its speed"


def test_the_worst_outputs_are_said_per_precision() -> None:
    models = [model("fp32", FP32, outputs=o) for o in ("identical", "close", None)]
    models += [model("int8", FP32, outputs=o) for o in ("different", "identical")]  # fmt: skip
    assert outputs_words(models) == {
        "FP32 outputs": "within the bound of float rounding of this machine's",
        "INT8 outputs": "DIFFERENT from this machine's",
    }
    assert outputs_words([model("int8", FP32, outputs=None)]) == {}


def test_a_larger_model_is_not_called_smaller() -> None:
    assert [size_change(*sizes) for sizes in ((4000, 1000), (1000, 1250), (0, 5))] == [
        "4.00× smaller",
        "1.25× larger",
        "",
    ]


def test_csv_has_a_row_per_device_case_and_model() -> None:
    rich = rich_report()
    rows = list(csv.DictReader(io.StringIO(to_csv(rich))))
    assert list(rows[0]) == [column.name for column in COLUMNS]
    assert [(row["device"], row["threads"], row["precision"]) for row in rows] == [
        (name, threads, precision)
        for name, threads in (("2A091FDH2002", "1"), ("2A091FDH2002", "2"), ("9c3f77d0", "1"))
        for precision in ("fp32", "int8")
    ]
    first = rich.devices[0].cases[0]
    assert float(rows[1]["median_ms"]) == first.models[1].latency.median_ms
    assert first.speed_up is not None
    assert float(rows[1]["speed_up_low"]) == first.speed_up.low
    assert rows[0]["cpu_model"] == ""


def test_csv_quotes_what_would_break_a_row() -> None:
    name = 'a,"b"'
    (row, _) = csv.DictReader(io.StringIO(to_csv(report(device(name, case())))))
    assert row["device"] == name


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        (" =1", "' =1"),
        ("\uff1d1", "'\uff1d1"),
        ("\t=1", r"\t=1"),
        ("\r\n=1", r"\r\n=1"),
        ("a=1\x1b[2J\udc80\u202e", r"a=1\x1b[2J\udc80\u202e"),
        ("network é 网络", "network é 网络"),
    ],
)
def test_csv_cells_are_printable_and_no_formulas(name: str, written: str) -> None:
    context = replace(PHONE, model=name)
    models = (model("fp32", FP32, name=name),)
    text = to_csv(report(device(name, replace(case(), models=models), context=context)))
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["device"], row["device_model"], row["name"]) == (written,) * 3
    assert float(row["drift_change"] or "-1") <= 1  # numbers stay numbers
    assert text.count("\n") == 2


def test_markdown_has_tables_that_hostile_names_cannot_break() -> None:
    text = to_markdown(hostile_report(), {"fp32": replace(ACCURACY["fp32"], model=HOSTILE)})
    tables = [line for line in text.splitlines() if line.startswith("|")]
    for line in tables:
        assert line.replace("\\|", "").count("|") in (12, 5)
    assert "\\<script\\>" in text
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "]\\\\n\\\\x00\\\\u202e" in text.replace("\\]", "]")
    assert all(char.isprintable() for char in text.replace("\n", ""))


def test_markdown_says_the_results() -> None:
    text = to_markdown(rich_report(), ACCURACY)
    assert text.startswith("## INT8 is 1.23× to 2.25× as fast as FP32\n")
    assert "| INT8 net\\_int8.nb | 1 | 10.937 |" in text
    assert "| FP32 out/net\\_fp32.nb | 71.23% | 90.12% | 1000 |" in text
    assert "- ⚠ the frequency governor is powersave" in text


def test_axes_have_round_ticks_that_hold_the_range() -> None:
    for low, high in ((0, 39.8), (0.97, 2.6), (13.01, 14.34), (0, 0.00012), (5, 5), (0, 170_000)):
        scale = axis(low, high)
        assert scale.low <= low <= high <= scale.high
        assert 2 <= len(scale.ticks) <= 8
        assert len({scale.label(tick) for tick in scale.ticks}) == len(scale.ticks)
        assert (scale.at(scale.low), scale.at(scale.high)) == (0.0, 100.0)
        assert scale.at(scale.high + 1) == 100.0
    assert [axis(0, 10).label(tick) for tick in axis(0, 10).ticks] == ["0", "2", "4", "6", "8", "10"]
    quarters = axis(0, 1, ticks=4)
    assert [quarters.label(tick) for tick in quarters.ticks] == ["0.00", "0.25", "0.50", "0.75", "1.00"]


def test_the_density_is_highest_where_the_samples_are() -> None:
    values = np.random.default_rng(3).normal(5, 0.1, 200)
    at = np.linspace(4, 6, 201)
    found = charts.density(values, at)
    assert found is not None
    assert at[found.argmax()] == pytest.approx(5, abs=0.1)
    assert charts.density(np.full(10, 3.0), at) is None


def test_escape() -> None:
    assert escape("<a b='c\"d'>&\x07é") == "&lt;a b=&#x27;c&quot;d&#x27;&gt;&amp;\\x07é"


def accuracies(tmp_path: Path) -> Iterator[str]:
    for precision, found in ACCURACY.items():
        path = tmp_path / f"eval_{precision}.json"
        path.write_text(
            json.dumps({"schema": 1, "model": found.model, "top1": found.top1, "top5": found.top5, "count": 1000})
            .replace("}", ', "seconds": 1.5, "per_picture": [3, 1]}')
        )  # fmt: skip
        yield from (f"--{precision}-accuracy", str(path))


def test_files_are_written_by_a_measurement(
    fake_benchmark_bin: Fake, models: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / "out" / f"bench.{ending}" for ending in ("csv", "md", "html")]
    flags = [
        word
        for flag, path in zip(("csv", "markdown", "html"), paths, strict=True)
        for word in (f"--{flag}", str(path))
    ]
    measured = ["bench", "--fp32", str(models[0]), "--int8", str(models[1]), "--repeats", "3"]
    assert run([*measured, *flags, *accuracies(tmp_path)]) == 0
    out = capfd.readouterr().out
    for name, path in zip(("CSV", "Markdown", "HTML"), paths, strict=True):
        assert f"{name}: {path}\n" in out
    assert paths[0].read_text(encoding="utf-8").startswith("device,")
    assert "70.91%" in paths[1].read_text(encoding="utf-8")
    assert "70.91%" in paths[2].read_text(encoding="utf-8")


def test_files_are_written_from_what_was_saved(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rich = rich_report()
    saved = save(tmp_path / "bench.json", rich)
    target = tmp_path / "page.html"
    assert run(["bench", "--from-json", str(saved), "--html", str(target), *accuracies(tmp_path)]) == 0
    assert target.read_text(encoding="utf-8") == page(rich, ACCURACY)
    assert "speed-up 2.25x" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--html", "{folder}"], "is a folder"),
        (["--csv", "{folder}/a.html", "--html", "{folder}/./a.html"], "a.html is given for two outputs"),
        (["--json", "{folder}/a.html", "--html", "{folder}/a.html"], "a.html is given for two outputs"),
        (["--html", "{folder}/a.html", "--int8-accuracy", "{folder}/gone.json"], "gone.json: No such file"),
        (
            ["--html", "{folder}/a.html", "--int8-accuracy", "{folder}/bad.json"],
            "top1 1.5, top5 1 of 10 pictures",
        ),
        (["--int8-accuracy", "{folder}/good.json"], "without a page to show it on"),
        (
            [
                *("--html", "{folder}/a.html", "--int8-accuracy", "{folder}/good.json"),
                *("--fp32-accuracy", "{folder}/more.json"),
            ],
            "accuracy on different numbers of pictures",
        ),
        (["--html", "{folder}/a.html", "--from-json", "{folder}/good.json"], "`schema` is 1, not 2"),
    ],
)
def test_wrong_input_ends_with_2_before_anything_is_measured(
    fake_benchmark_bin: Fake,
    models: tuple[Path, Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    fake_benchmark_bin("die")
    good = {"schema": 1, "model": "a.nb", "top1": 0.5, "top5": 1.0, "count": 10, "seconds": 1.0}
    (tmp_path / "good.json").write_text(json.dumps(good))
    (tmp_path / "more.json").write_text(json.dumps({**good, "count": 11}))
    (tmp_path / "bad.json").write_text(json.dumps({**good, "top1": 1.5}))
    given = [flag.format(folder=tmp_path) for flag in flags]
    measured = [] if "--from-json" in given else ["--int8", str(models[1])]
    assert run(["bench", *measured, *given]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert not (tmp_path / "a.html").exists()

"""What all tests share: where the committed demo lies, the real data, and the list of what was not run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.needs import NOT_HERE, ROOT, need, real_data, reason


@pytest.fixture(scope="session")
def digits() -> Path:
    """The committed demo: model/, calibration_images/, test_images/, test_labels.txt, quantize.yaml."""
    return ROOT / "examples" / "digits"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real models and photographs; the test is skipped where there is none."""
    need("real_data")
    return real_data()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium for the pages of a module; its tests are skipped where there is none."""
    need("chromium")
    with Browser(tmp_path_factory.mktemp("chromium") / "profile") as started:
        yield started


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="fail for tests that miss something on this machine"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        why = reason(*mark.args)
        if why is not None:
            pytest.skip(why)


def not_run(reporter: pytest.TerminalReporter) -> Counter[str]:
    """Reason → number of tests that were skipped for it, but for those that have no meaning here."""
    reasons: Counter[str] = Counter()
    for report in reporter.stats.get("skipped", []):
        assert isinstance(report.longrepr, tuple)
        reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
    return Counter({why: count for why, count in reasons.items() if not why.startswith(NOT_HERE)})


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter is not None and not_run(reporter):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reasons = not_run(terminalreporter)
    if reasons:
        verb = "forbidden by --no-skips" if config.getoption("--no-skips") else "not run"
        terminalreporter.section(verb)
        for why, count in sorted(reasons.items()):
            terminalreporter.line(f"{verb}: {count} {'test needs' if count == 1 else 'tests need'} {why}")

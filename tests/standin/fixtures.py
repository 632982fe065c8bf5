"""Fixtures: phones that are not there. Import them in a conftest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ptq_core.runtime import runtime_folder
from tests.standin.server import AdbServer, StandIn, what_is_missing

Plug = Callable[..., StandIn]
"""Called with an ABI and flags of `tests.standin.adbd`: a phone that is there until the test ends."""


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    """A server that sees no phone. Where stand-ins cannot be started tests are skipped, but not in CI."""
    missing = what_is_missing()
    if missing is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"in CI phones must be tested: {missing}")
        pytest.skip(missing)
    with AdbServer(tmp_path_factory.mktemp("adb")) as server:
        yield server


@pytest.fixture
def plug(adb_server: AdbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """Plugs phones in; `ptq bench` in this process talks to their server."""
    for name in ("ADB", "ANDROID_SERIAL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in adb_server.environment.items():
        monkeypatch.setenv(name, value)
    phones: list[StandIn] = []

    def plug(abi: str = "x86_64", *flags: str) -> StandIn:
        if not runtime_folder(abi).is_dir() and abi != "x86":
            if os.environ.get("CI") == "true":
                pytest.fail(f"in CI the runtime for {abi} must be built")
            pytest.skip(f"the runtime for {abi} is not built (make runtime-all)")
        folder = tmp_path / f"phone{len(phones)}"
        folder.mkdir()
        phones.append(adb_server.start(folder, abi, *flags))
        return phones[-1]

    yield plug
    for phone in phones:
        adb_server.remove(phone)

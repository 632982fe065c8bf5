"""Fixtures: phones that are not there. Import them in a conftest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.needs import need
from tests.standin.server import AdbServer, StandIn

Plug = Callable[..., StandIn]
"""Called with an ABI and flags of `tests.standin.adbd`: a phone that is there until the test ends."""


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    """A server that sees no phone. Tests are skipped where stand-ins cannot be started."""
    need("adb", "qemu", "namespaces")
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
        if abi != "x86":
            need("phones")
        folder = tmp_path / f"phone{len(phones)}"
        folder.mkdir()
        phones.append(adb_server.start(folder, abi, *flags))
        return phones[-1]

    yield plug
    for phone in phones:
        adb_server.remove(phone)

"""Power modes on phones of one, two and three kinds of cores."""

from __future__ import annotations

import pytest

from ptq_core.bench.context import Cluster
from ptq_core.bench.power_mode import cpus_of, parse_power_mode
from ptq_core.errors import DeviceError, InputError

LITTLE = Cluster((0, 1, 2, 3), 1800.0, 250, None)
BIG = Cluster((4, 5, 6), 2400.0, 760, None)
PRIME = Cluster((7,), 2850.0, 1024, None)


@pytest.mark.parametrize(
    ("clusters", "mode", "expected"),
    [
        ((LITTLE, BIG, PRIME), "big", (7, 4, 5, 6)),  # the fastest first: one thread runs on the prime core
        ((LITTLE, BIG, PRIME), "little", (0, 1, 2, 3)),
        ((LITTLE, BIG, PRIME), "all", (7, 4, 5, 6, 0, 1, 2, 3)),
        ((LITTLE, BIG), "big", (4, 5, 6)),
        ((LITTLE,), "big", (0, 1, 2, 3)),
        ((LITTLE,), "little", (0, 1, 2, 3)),
        ((LITTLE, BIG), "none", ()),
        ((), "none", ()),
        ((LITTLE, BIG), "5-6,0", (5, 6, 0)),
        ((), "3", (3,)),
    ],
)
def test_cpus(clusters: tuple[Cluster, ...], mode: str, expected: tuple[int, ...]) -> None:
    assert cpus_of(mode, clusters) == expected


def test_what_a_device_does_not_have() -> None:
    with pytest.raises(DeviceError, match="no CPU 8"):
        cpus_of("0,8", (LITTLE, BIG))
    with pytest.raises(DeviceError, match="does not tell its CPUs"):
        cpus_of("big", ())


def test_the_numbers_of_paddle_lite() -> None:
    assert [parse_power_mode(text) for text in "0123"] == ["big", "little", "all", "none"]
    assert [parse_power_mode(text) for text in ("auto", "0-0", "4-7", "4")] == ["auto", "0-0", "4-7", "4"]


@pytest.mark.parametrize("text", ["", "fast", "4,", "-1", "7-4", "1-x", "0-99999999999", "99999999999"])
def test_wrong_modes(text: str) -> None:
    with pytest.raises(InputError, match="`power_mode="):
        parse_power_mode(text)

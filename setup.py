"""Builds the C++ runtime into the package, so that a wheel carries its binaries; all else is in setup.cfg."""

import os
import platform
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
ABIS = "host,arm64-v8a,armeabi-v7a,x86_64"


class BuildWithRuntime(build_py):
    """build_py, after the binaries of every ABI; PTQ_SKIP_RUNTIME=1 leaves them to `make runtime`."""

    def run(self) -> None:
        if not os.environ.get("PTQ_SKIP_RUNTIME") and not self.editable_mode:
            subprocess.run(
                [sys.executable, str(ROOT / "scripts/build_runtime.py"), "--abi", ABIS], check=True
            )
        super().run()


class PlatformWheel(bdist_wheel):
    """Any Python 3, but only this machine's kind: the host library asks for glibc 2.17 or newer."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", f"manylinux_2_17_{platform.machine()}"


class BinaryDistribution(Distribution):
    """A distribution with compiled parts that setuptools did not build itself."""

    def has_ext_modules(self) -> bool:
        return True


setup(cmdclass={"build_py": BuildWithRuntime, "bdist_wheel": PlatformWheel}, distclass=BinaryDistribution)

"""What setup.cfg cannot say: the C++ runtime in the package, the files that a wheel carries, the wheel's tag."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
ABIS = {"none": "", "host": "host", "all": "host,arm64-v8a,armeabi-v7a,x86_64"}
"""PTQ_ABIS → whose runtime is built: about two minutes of one core each; `ptq bench` builds what is not there."""
CARRIED = ("configs", "runtime", "scripts")
"""Folders that a wheel carries in ptq_core/_carried, as ptq_core/carried.py expects them."""


def write_tables(runtime: Path) -> None:
    """The runtime's operator tables beside its sources, so that CMake builds it without Python."""
    generator = ROOT / "runtime" / "generate_operators.py"
    subprocess.run([sys.executable, str(generator), str(runtime / "generated")], check=True)


class BuildWithRuntime(build_py):
    """build_py, then the runtime and the carried folders, into what it built: the source tree stays as it is."""

    def run(self) -> None:
        if self.editable_mode:  # a checkout has its own folders, and `make runtime`
            return super().run()
        shutil.rmtree(self.build_lib, ignore_errors=True)  # nothing of an earlier build
        super().run()
        package = Path(self.build_lib, "ptq_core").resolve()
        for name in CARRIED:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, package / "_carried" / name, ignore=ignored)
        write_tables(package / "_carried" / "runtime")
        wanted = os.environ.get("PTQ_ABIS", "host")
        if wanted not in ABIS:
            sys.exit(f"PTQ_ABIS={wanted}: choose of {', '.join(ABIS)}")
        if ABIS[wanted]:
            command = [sys.executable, str(ROOT / "runtime/build_runtime.py"), "--abi", ABIS[wanted]]
            subprocess.run([*command, "--install-dir", str(package / "_runtime")], check=True)
        return None


class SourceWithTables(sdist):
    """sdist; the runtime's operator tables go along, so that CMake alone builds it."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        write_tables(Path(base_dir, "runtime"))


EPOCH = "1767225600"
"""2026-01-01: the time of every file in a wheel, unless SOURCE_DATE_EPOCH says another, so that two builds are one."""

BOM = Path("sboms", "ptq.cdx.json")
"""Where a wheel's metadata has the bill of materials (PEP 770)."""


def bill_of_materials(distribution: Distribution, package: Path) -> dict[str, object]:
    """CycloneDX 1.6: what ptq needs, and every binary in ``package`` with its hash. The same content gives the same text."""
    metadata = distribution.metadata
    reference = f"pkg:pypi/{metadata.name}@{metadata.version}"
    needed = [
        {"type": "library", "bom-ref": f"pkg:pypi/{name}", "name": name, "purl": f"pkg:pypi/{name}"}
        for name in sorted(re.match(r"[\w.-]+", line)[0] for line in distribution.install_requires)
    ]
    binaries = [
        {
            "type": "file",
            "bom-ref": str(path.relative_to(package.parent)),
            "name": str(path.relative_to(package.parent)),
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
        }
        for path in sorted((package / "_runtime").rglob("*"))
        if path.is_file()
    ]
    licenses = [{"license": {"id": metadata.license_expression or metadata.license}}]
    itself = {
        "type": "library",
        "bom-ref": reference,
        "name": metadata.name,
        "version": metadata.version,
        "purl": reference,
        "licenses": licenses,
    }
    parts = [*needed, *binaries]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": itself},
        "components": parts,
        "dependencies": [{"ref": reference, "dependsOn": [str(part["bom-ref"]) for part in parts]}],
    }


class PlatformWheel(bdist_wheel):
    """Any Python 3, but only this machine's kind: the host library asks for glibc 2.17 or newer.

    The same sources and compiler give the same bytes.
    """

    def run(self) -> None:
        os.environ.setdefault("SOURCE_DATE_EPOCH", EPOCH)
        super().run()

    def write_wheelfile(self, wheelfile_base: str, *arguments: str) -> None:
        super().write_wheelfile(wheelfile_base, *arguments)
        path = Path(wheelfile_base) / BOM
        path.parent.mkdir(exist_ok=True)
        bill = bill_of_materials(self.distribution, Path(self.bdist_dir, "ptq_core"))
        path.write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", f"manylinux_2_17_{platform.machine()}"


class BinaryDistribution(Distribution):
    """A distribution with compiled parts that setuptools did not build itself."""

    def has_ext_modules(self) -> bool:
        return True


setup(
    # The folder is called cli/; nobody wants a module of that name in his environment.
    packages=["ptq_cli", *find_packages(include=["ptq_core*"])],
    package_dir={"ptq_cli": "cli"},
    cmdclass={"build_py": BuildWithRuntime, "bdist_wheel": PlatformWheel, "sdist": SourceWithTables},
    distclass=BinaryDistribution,
)

"""Ask pip whether every pin of requirements.txt has a wheel, for each Python and platform that the README promises.

    python tools/check_wheels.py
    python tools/check_wheels.py --python 3.10 3.14 --platform linux-x86_64

Nothing is installed; pip reads the index that it is set up for. torch is left out unless --torch is given: it is large, and
pip may have to download it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from packaging.requirements import Requirement
from tqdm import tqdm

from tools.command import run
from torchlight.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
LINUX = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
PLATFORMS = {  # pip's names of a platform, and what a marker calls it
    "linux-x86_64": ([f"{name}_x86_64" for name in LINUX], "linux"),
    "linux-aarch64": ([f"{name}_aarch64" for name in LINUX], "linux"),
    "macos-arm64": ([f"macosx_{version}_0_arm64" for version in (15, 14, 13, 12, 11)], "darwin"),
    "windows-amd64": (["win_amd64"], "win32"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask pip whether every pin has a wheel.")
    parser.add_argument("--python", nargs="+", default=PYTHONS, help=f"(default: {' '.join(PYTHONS)})")
    parser.add_argument("--platform", nargs="+", choices=PLATFORMS, default=list(PLATFORMS), help="(default: all)")
    parser.add_argument("--requirements", default=str(ROOT / "requirements.txt"), help="(default: requirements.txt)")
    parser.add_argument("--torch", action="store_true", help="torch too")
    arg = parser.parse_args()
    pins = [
        Requirement(line) for line in Path(arg.requirements).read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    pins = [pin for pin in pins if arg.torch or pin.name != "torch"]
    wanted = [(pin, python, platform) for python in arg.python for platform in arg.platform for pin in pins]
    wanted = [each for each in wanted if applies(*each)]
    missing = [each for each in tqdm(wanted, "wheels", disable=None) if not has_wheel(*each)]
    for pin, python, platform in missing:
        print(f"no wheel: {pin.name}{pin.specifier} for Python {python} on {platform}")
    print(f"{len(wanted) - len(missing)} of {len(wanted)} pins have a wheel")
    if missing:
        raise DataError(f"{arg.requirements}: {len(missing)} pins have no wheel; give them other versions by a marker")


def applies(pin: Requirement, python: str, platform: str) -> bool:
    """Whether the marker of a pin is true there."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": PLATFORMS[platform][1],
    }
    return pin.marker is None or pin.marker.evaluate(environment)


def has_wheel(pin: Requirement, python: str, platform: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed"]
        command += [
            "--only-binary=:all:",
            "--disable-pip-version-check",
            f"--python-version={python}",
            f"--target={folder}",
        ]
        command += [f"--platform={name}" for name in PLATFORMS[platform][0]]
        done = subprocess.run([*command, f"{pin.name}{pin.specifier}"], capture_output=True, text=True)
        return done.returncode == 0


if __name__ == "__main__":
    run(main)

"""The manifest of a run: how it was made, so that it can be repeated, and what came out.

manifest = Manifest("train", argv, vars(arg), {"train data": arg.data_path}, device="cpu, fp32")
...
write_manifest("work_dir/manifest.json", manifest.content({"top1": 96.5}))
"""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

from torchlight.errors import UsageError, one_line, short
from torchlight.files import atomic_write
from torchlight.machine import cores
from torchlight.project import REQUIREMENTS, ROOT

TEXT = {"encoding": "utf-8", "errors": "replace"}  # of git, whatever the system's is
LARGEST = 1 << 24  # bytes of a manifest
KEYS = {"phase": str, "began": str, "command": list, "config": dict, "versions": dict, "machine": dict, "files": dict}
FORMATS = {"top1": "Top1", "top5": "Top5", "mean_class_accuracy": "Mean class accuracy"}  # of results, in per cent


class Manifest:
    """What is known of a run when it begins; the files are hashed in the background.

    Args:
        phase: "train" or "test".
        argv: the command line, without `python main.py`.
        config: the merged settings.
        files: a name for each file that is read, and its path.
        device: where it computes, and in which precision.
    """

    def __init__(
        self, phase: str, argv: Sequence[str], config: Mapping[str, Any], files: Mapping[str, str | Path], device: str
    ) -> None:
        self.began, self.clock = datetime.now(timezone.utc), perf_counter()
        self.facts = {
            "phase": phase,
            "command": ["python", "main.py", *argv],
            "config": copy.deepcopy(dict(config)),
            "git": git_state(),
            "versions": versions(),
            "machine": {
                "system": " ".join(
                    part for part in (platform.system(), platform.machine(), *platform.libc_ver()) if part
                ),
                "processor": processor(),
                "cores": cores(),
                "device": device,
            },
        }
        self.files: dict[str, dict[str, Any]] = {}
        self.hashing = threading.Thread(target=self._hash, args=[dict(files)], daemon=True)
        self.hashing.start()

    def _hash(self, files: Mapping[str, str | Path]) -> None:
        for name, path in files.items():
            self.files[name] = described(path)

    def content(
        self, results: Mapping[str, float], files: Mapping[str, str | Path] | None = None, **more: Any
    ) -> dict[str, Any]:
        """The whole manifest, once all files are hashed.

        Args:
            results: figures by name, accuracies in per cent.
            files: further ones, that were written.
            more: further keys, e.g. the manifest of the training of the weights that were tested.
        """
        self.hashing.join()
        self._hash(files or {})
        time = {"began": self.began.isoformat(timespec="seconds"), "seconds": round(perf_counter() - self.clock, 3)}
        return {**self.facts, "files": self.files, **time, "results": dict(results), **more}


def described(path: str | Path) -> dict[str, Any]:
    """Path, bytes and SHA-256 of a file; without the latter two where it cannot be read."""
    facts: dict[str, Any] = {"path": str(path)}
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
            facts |= {"bytes": file.tell(), "sha256": digest.hexdigest()}
    except OSError:
        pass  # a folder, or gone: the run itself tells
    return facts


def write_manifest(path: str | Path, content: Mapping[str, Any]) -> None:
    with atomic_write(path, "w") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")


def read_manifest(path: str | Path, phase: str | None = None) -> dict[str, Any]:
    """A manifest, checked; with phase="train" that of the training, where it is one of a test of its weights.

    Raises:
        UsageError: in one line.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("too large")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; a manifest.json is needed, as every run writes it") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "not JSON, or cut off"
        raise UsageError(f"{path}: not a manifest.json ({reason})") from None
    if phase == "train" and isinstance(content, dict) and isinstance(content.get("training"), dict):
        content = content["training"]
    for key, kind in KEYS.items():
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise UsageError(f"{path}: not a manifest.json: it has no {key}")
    for name, facts in content["files"].items():
        if not isinstance(facts, dict) or not isinstance(facts.get("path"), str):
            raise UsageError(f"{path}: files: {short(name)} has no path")
    return content


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A line for everything of this run that is not as in the manifest of an earlier one; results come last."""
    told = False
    for key, title in (("git", "git commit"), ("machine", ""), ("versions", "")):
        before, after = (each.get(key) if isinstance(each.get(key), dict) else {} for each in (then, now))
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                told = True
                yield f"{title or one_line(name)}: {_told(before.get(name))} then, {_told(after.get(name))} now"
    for name, facts in now["files"].items():
        before = then["files"].get(name, {}).get("sha256")
        if before and before != facts.get("sha256"):
            told = True
            yield f"{name}: {facts['path']} has another content than then"
    if not told:
        yield "machine, versions, code and files are the same"
    before, after = (each.get("results") if isinstance(each.get("results"), dict) else {} for each in (then, now))
    for key, title in FORMATS.items():
        if isinstance(before.get(key), int | float) and key in after:
            yield f"{title}: {before[key]:.2f}% then, {after[key]:.2f}% now"


def _told(value: object) -> str:
    return "unknown" if value is None else one_line(value) if isinstance(value, str) else short(value)


# ---- facts


def git_state() -> dict[str, Any] | None:
    """Commit of the project's checkout, and whether files differ from it; None outside of a checkout."""
    try:
        run = [
            subprocess.run(["git", *argv], cwd=ROOT, capture_output=True, check=True, timeout=20, **TEXT).stdout
            for argv in (["rev-parse", "--show-toplevel"], ["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    top, commit, changed = (text.strip() for text in run)
    return {"commit": commit, "changed": bool(changed)} if Path(top).resolve() == ROOT else None


def versions() -> dict[str, str]:
    """Python and the packages of requirements.txt, as installed."""
    found = {"python": platform.python_version()}
    names = re.findall(r"^[\w-]+", REQUIREMENTS.read_text(encoding="utf-8"), re.M)
    for name in dict.fromkeys(names):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name."""
    if sys.platform == "linux":
        try:
            text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        if match := re.search(r"^model name\s*:\s*(.+)$", text, re.M):
            return match[1]
    return platform.processor() or platform.machine()

"""The floors of the house: imports only point down, and what feeder/ and tools/ import of torchlight/ is without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("torchlight", "feeder", "net", "processor", "main", "stgcn", "tools")
MAY = {  # what each floor may import of ours; of feeder/ a network may know one file
    "torchlight": {"torchlight"},
    "feeder": {"feeder", "torchlight"},
    "net": {"net", "feeder.skeleton", "torchlight.errors"},
    "processor": {"processor", "net", "feeder", "torchlight", "tests"},  # tests: the plain forms of the benchmark
    "main": {"processor", "torchlight"},
    "stgcn": set(),  # its modules are named in a table, and imported when they are used
    "tools": {"tools", "feeder", "torchlight", "net", "processor.sidecar"},
}


def imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    ours = (*FLOORS, "tests")
    return {module for module in found if module.split(".")[0] in ours and is_module(module)}


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def files(floor: str) -> list[Path]:
    return [ROOT / f"{floor}.py"] if floor in ("main", "stgcn") else sorted((ROOT / floor).rglob("*.py"))


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_only_point_down(floor):
    for path in files(floor):
        for module in imports(path):
            package = module.split(".")[0]
            allowed = any(module == may or module.startswith(f"{may}.") for may in MAY[floor])
            bare = module == package and any(may.startswith(f"{package}.") for may in MAY[floor])
            assert allowed or bare, f"{path.relative_to(ROOT)} imports {module}"


def test_only_convert_weights_needs_networks_and_side_cars_among_the_tools():
    above = ("net", "processor")
    users = {path.name for path in files("tools") if any(each.split(".")[0] in above for each in imports(path))}
    assert users == {"convert_weights.py"}


def test_what_feeder_and_tools_import_of_torchlight_is_without_torch():
    used = {module for floor in ("feeder", "tools") for path in files(floor) if path.name != "convert_weights.py"
            for module in imports(path) if module.startswith("torchlight.")}  # fmt: skip
    assert {"torchlight.errors", "torchlight.files", "torchlight.config"} <= used
    script = f"import sys, {', '.join(sorted(used))}\nassert 'torch' not in sys.modules, sys.modules['torch']"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_feeder_is_used_without_torch():
    script = "import sys, feeder.feeder, feeder.gendata\nassert 'torch' not in sys.modules and 'cv2' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)

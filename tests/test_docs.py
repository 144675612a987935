"""README and docs: links lead somewhere, and what a command names is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)|src=\"([^\"]+)\"")
COMMAND = re.compile(r"(?:python3?|bash|sh) ((?:main\.py|tools/\w+\.(?:py|sh))[^`\n]*)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(page):
    for path, anchor, picture in LINK.findall(page.read_text(encoding="utf-8")):
        path = path or picture
        if "://" in path:
            continue
        target = page.parent / path
        assert target.exists(), f"{page.name} links to {path}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M)
            slugs = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
            assert anchor[1:] in slugs, f"{page.name} links to {path}{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_name_scripts_processors_and_configs_that_exist(page):
    from main import PROCESSORS

    text = page.read_text(encoding="utf-8")
    for command in COMMAND.findall(text):
        words = command.split()
        assert (ROOT / words[0]).exists(), command
        if words[0] == "main.py" and len(words) > 1 and not words[1].startswith(("-", "<")):
            assert words[1] in PROCESSORS, command
    for config in re.findall(r"config/[\w./-]+\.yaml", text):
        assert (ROOT / config).exists(), f"{page.name}: {config}"


def test_the_readme_fits_on_200_lines():
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 200


def test_options_in_the_docs_exist():
    """Every --option of a documented command is one that its -h, or its former names, know."""
    help_of = {}
    for page in PAGES:
        for command in COMMAND.findall(page.read_text(encoding="utf-8")):
            words = [word for word in command.split() if not word.startswith(("<", "[", "{"))]
            script = (
                words[:2] if words[0] == "main.py" and len(words) > 1 and not words[1].startswith("-") else words[:1]
            )
            if words[0].endswith(".sh") or script == ["main.py"]:
                continue
            key = " ".join(script)
            if key not in help_of:
                done = subprocess.run(
                    [sys.executable, *script, "-h"], capture_output=True, text=True, cwd=ROOT, timeout=60
                )
                help_of[key] = done.stdout
            for option in re.findall(r"(?<!\S)(--\w+)", command):
                assert option in help_of[key] or option == "--traceback", f"{page.name}: {command}"


def test_own_joints_are_packed_and_trained_as_the_page_says(tmp_path, monkeypatch):
    from main import main

    text = (ROOT / "docs" / "own_joints.md").read_text(encoding="utf-8")
    snippet, config = (re.search(rf"```{kind}\n(.*?)```", text, re.S)[1] for kind in ("python", "yaml"))
    monkeypatch.chdir(tmp_path)
    for part in ("train", "val"):
        exec(snippet.replace('"train"', f'"{part}"'), {})
    Path("mine.yaml").write_text(config, encoding="utf-8")
    assert main(["recognition", "-c", "mine.yaml", "--num_epoch", "1"]) == 0
    assert "auto: window_size: 32" in Path("work_dir/mine/joint/log.txt").read_text(encoding="utf-8")
    assert main(["inspect", "-c", "mine.yaml"]) == 0

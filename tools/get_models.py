"""Fetch networks that others have trained, into models/.

    python tools/get_models.py              # which there are
    python tools/get_models.py st_gcn       # the three checkpoints of the ST-GCN paper
    python tools/get_models.py movenet      # the pose model, which the demo fetches by itself

A file that is there already, and right, is kept; a download that broke off is continued. ST_GCN_MODELS_URL names another
place to fetch the checkpoints from (http://, https:// or file://), ST_GCN_MODELS another folder to put them in.
resource/reference_model.txt lists them, one a line: name, name at that place, git blob SHA-1.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.pose.fetch import SOURCES, fetch_model
from tools.command import run
from torchlight.download import download
from torchlight.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mmskeleton/models/st-gcn"
DRIVE = "https://drive.google.com/drive/folders/1IYKoSrjeI3yYJ9bO0_z_eDo92i7ob_aF"
ZOO = "https://github.com/open-mmlab/mmskeleton/blob/master/doc/MODEL_ZOO.md"


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch networks that others have trained, into models/.")
    parser.add_argument("model", nargs="?", choices=["st_gcn", *SOURCES], help="which (default: list them)")
    model = parser.parse_args().model
    folder = Path(os.environ.get("ST_GCN_MODELS", ROOT / "models"))
    url = os.environ.get("ST_GCN_MODELS_URL", PUBLISHED)
    if model == "st_gcn":
        folder.mkdir(parents=True, exist_ok=True)
        for name, remote, blob in published():
            print(f"{name}: {fetch_published(folder / name, f'{url}/{remote}', blob)}", flush=True)
    elif model:
        print(fetch_model(model))
    else:
        for name, _, _ in published():
            print(f"st_gcn: {name}, of the ST-GCN paper, 12 MB, {state(folder / name)}")
        for name, source in SOURCES.items():
            print(f"{name}: {source.what}, {source.size / 1e6:.1f} MB, {state(ROOT / 'models' / source.file)}")


def state(path: Path) -> str:
    return "is there" if path.exists() else "is not there yet"


def published() -> list[list[str]]:
    """Name, name at the address, git blob SHA-1 of the checkpoints of the paper."""
    lines = (ROOT / "resource" / "reference_model.txt").read_text().splitlines()
    return [line.split() for line in lines if line.strip()]


def fetch_published(path: Path, url: str, blob: str) -> str:
    """Fetch one checkpoint unless it is there; what happened, in a word. Raises DataError."""

    def is_right(file: Path) -> bool:
        return file.is_file() and git_blob(file.read_bytes()) == blob

    elsewhere = f"look for {url.rsplit('/', 1)[1]} or {path.name} in {DRIVE} or {ZOO} and put it there as {path}"
    if is_right(path):
        return "is there"
    if path.exists():
        raise DataError(
            f"{path} is there but is not the published model\n       move it away to fetch it; otherwise {elsewhere}"
        )
    try:
        if not download(url, path, is_right):
            raise DataError(f"{url} is not the published {path.name} (its hash differs)\n       {elsewhere}")
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot fetch {path.name} from {url} ({error})\n       {elsewhere}") from None
    return "fetched"


def git_blob(content: bytes) -> str:
    """SHA-1 of a file as git names it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


if __name__ == "__main__":
    run(main)

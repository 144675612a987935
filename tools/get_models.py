"""Fetch networks that others have trained, into models/.

    python tools/get_models.py                                   # which there are
    python tools/get_models.py stgcnpp_ntu120_xsub_hrnet_joint   # of PYSKL or MMAction2, converted, ready for the demo
    python tools/get_models.py NAME --from j.pth                 # the same from a file that was fetched by hand
    python tools/get_models.py st_gcn                            # the three checkpoints of the ST-GCN paper
    python tools/get_models.py movenet                           # the pose model, which the demo fetches by itself

A file that is there already, and right, is kept; a download that broke off is continued. ST_GCN_MODELS_URL names another
place to fetch the checkpoints from (http://, https:// or file://), ST_GCN_MODELS another folder to put them in.
resource/published_models.yaml lists the networks of PYSKL and MMAction2 (docs/models.md), resource/reference_model.txt those of
the paper, one a line: name, name at that place, git blob SHA-1.
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
from tools.published_models import fetch, load_published
from torchlight.download import download
from torchlight.errors import DataError, UsageError, did_you_mean, short
from torchlight.project import ROOT, models_folder

PUBLISHED = "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mmskeleton/models/st-gcn"
DRIVE = "https://drive.google.com/drive/folders/1IYKoSrjeI3yYJ9bO0_z_eDo92i7ob_aF"
ZOO = "https://github.com/open-mmlab/mmskeleton/blob/master/doc/MODEL_ZOO.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", metavar="NAME", help="which (default: list them)")
    parser.add_argument("--from", dest="file", type=Path, metavar="FILE", help="a checkpoint that was fetched by hand")
    arg = parser.parse_args()
    folder = models_folder()
    place = os.environ.get("ST_GCN_MODELS_URL")
    others = load_published()
    if arg.file and arg.model not in others:
        raise UsageError(
            "--from belongs to a network of PYSKL or MMAction2; give its NAME, which the command alone lists"
        )
    if arg.model == "st_gcn":
        folder.mkdir(parents=True, exist_ok=True)
        for name, remote, blob in published():
            print(f"{name}: {fetch_published(folder / name, f'{place or PUBLISHED}/{remote}', blob)}", flush=True)
    elif arg.model in SOURCES:
        print(fetch_model(arg.model))
    elif arg.model in others:
        fetch(others[arg.model], folder, place, arg.file)
    elif arg.model:
        near = did_you_mean(arg.model, ["st_gcn", *SOURCES, *others])
        raise UsageError(f"no model {short(arg.model)}; without a name the command lists them{near}")
    else:
        for name, _, _ in published():
            print(f"st_gcn: {name}, of the ST-GCN paper, 12 MB, {state(folder / name)}")
        for name, source in SOURCES.items():
            print(f"{name}: {source.what}, {source.size / 1e6:.1f} MB, {state(models_folder() / source.file)}")
        for model in others.values():
            print(f"{model.name}: {model}, {state(model.weights(folder))}\n    {model.address}")


def state(path: Path) -> str:
    return "is there" if path.exists() else "is not there yet"


def published() -> list[list[str]]:
    """Name, name at the address, git blob SHA-1 of the checkpoints of the paper."""
    lines = (ROOT / "resource" / "reference_model.txt").read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if line.strip()]


def fetch_published(path: Path, url: str, blob: str) -> str:
    """Fetch one checkpoint of the paper unless it is there; what happened, in a word. Raises DataError."""

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

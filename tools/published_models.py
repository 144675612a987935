"""Networks of PYSKL and MMAction2: fetched as resource/published_models.yaml says, checked, and converted into models/.

What is fetched is checked before it is used. Where MMAction2 has published the first eight digits of the SHA-256, these; beyond
that the SHA-256 of the first file that could be converted is kept in models/NAME.sha256, and another file is refused from then
on (trust on first use). Checkpoints are read as tensors and plain containers, never as code.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit

from torchlight.config import load_yaml
from torchlight.download import download
from torchlight.errors import DataError, UsageError, one_line
from torchlight.files import atomic_write
from torchlight.lock import exclusive

RESOURCE = Path(__file__).resolve().parent.parent / "resource"
LIMIT = 100_000_000  # bytes; the checkpoints have 6 and 12 million
LAYOUT, JOINTS, CHANNELS = "coco", 17, 3
NETWORKS = {"net.st_gcn.Model": ("ST-GCN", 3.1), "net.st_gcn_pp.Model": ("ST-GCN++", 1.4)}  # million parameters
SPLITS = {"xsub": "cross-subject", "xview": "cross-view", "xset": "cross-setup"}
NAMES = {60: "label_name.txt", 120: "label_name_120.txt"}
PREPARATION = {  # PYSKL's pipeline of the test: UniformSample of 100 frames, PreNormalize2D, GenSkeFeat(feats=['j'])
    "feeder_args": {
        "dimension": 2,
        "pipeline": [{"UniformSample": {"window_size": 100, "loop": True}}, "PreNormalize2D"],
    },
    "num_person": 2,
    "window": 100,  # so that a full window is taken frame by frame, as PYSKL takes its clips of 100 frames
    "fps": 30.0,
}


@dataclass(frozen=True)
class PublishedModel:
    """One entry of published_models.yaml.

    Attributes:
        name: here.
        toolbox: PYSKL or MMAction2.
        model: the network, by its dotted name here.
        classes: of NTU RGB+D, 60 or 120.
        split: xsub, xview or xset.
        top1: published accuracy in per cent.
        address: of the checkpoint.
        sha256: the beginning of its SHA-256, as far as it is published.
    """

    name: str
    toolbox: str
    model: str
    classes: int
    split: str
    top1: float
    address: str
    sha256: str = ""

    def __str__(self) -> str:
        network, parameters = NETWORKS[self.model]
        data = f"NTU RGB+D {self.classes} {SPLITS[self.split]} ({self.classes} classes)"
        digits = f"sha256 {self.sha256}..." if self.sha256 else "no hash published"
        return f"{network} of {self.toolbox}, {data}, top-1 {self.top1} %, about {4 * parameters:.0f} MB, {digits}"

    def weights(self, folder: Path) -> Path:
        return folder / f"{self.name}.pt"

    def label_names(self) -> list[str]:
        lines = (RESOURCE / "NTU-RGB-D" / NAMES[self.classes]).read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip()]


def load_published() -> dict[str, PublishedModel]:
    """The networks of published_models.yaml by their names."""
    return {
        name: PublishedModel(name, **entry) for name, entry in load_yaml(RESOURCE / "published_models.yaml").items()
    }


def fetch(model: PublishedModel, folder: Path, place: str | None = None, file: Path | None = None) -> None:
    """Make models/NAME.pt and its side-car, unless they are there, and say what happened.

    Args:
        folder: models/.
        place: in place of the scheme and host of the address; the path stays.
        file: the checkpoint, fetched by hand; None: it is fetched.

    Raises:
        DataError, UsageError: it cannot be fetched or is not what it should be; nothing new is left but a broken-off download.
    """
    weights, path = model.weights(folder), folder / f"{model.name}.pth"
    if file and not file.is_file():
        raise UsageError(f"--from: {file} {'is not a file' if file.exists() else 'does not exist'}")
    if weights.exists():
        if file or not weights.with_suffix(".yaml").exists():
            problem = "" if file else ", but no side-car beside it"
            raise DataError(f"{weights} is there{problem}; move it away to make both anew")
        print(f"{weights} is there")
        return
    with exclusive(folder, model.name, "another folder by ST_GCN_MODELS"):
        if not file and path.exists():  # fetched by hand, or by a run that was killed
            file = path
        if not file:
            fetch_checkpoint(model, path, place)
        try:
            digest = check_hash(model, file or path, folder)
            convert_published(model, file or path, weights)
            keep_hash(model, digest, folder)
        finally:
            if not file:
                path.unlink(missing_ok=True)
    known = "begins as published" if model.sha256 else "not published"
    print(f"sha256 {digest} ({known}; kept in {hash_path(model, folder)})")
    print(f"{weights} is ready: python main.py demo --weights {weights} --video VIDEO")


def fetch_checkpoint(model: PublishedModel, path: Path, place: str | None) -> None:
    """Write the checkpoint to `path`. Raises DataError."""
    url = f"{place.rstrip('/')}{urlsplit(model.address).path}" if place else model.address
    expected = kept_hash(model, path.parent) or model.sha256
    print(f"fetching {url}", flush=True)
    by_hand = f"or fetch it by hand and run: python tools/get_models.py {model.name} --from FILE"
    try:
        right = download(url, path, (lambda part: has_hash(part, expected)) if expected else None, LIMIT)
    except (OSError, ValueError) as error:
        cause = error.reason if type(error) is URLError else error
        raise DataError(f"cannot fetch {model.name} from {url} ({one_line(cause)}); try again, {by_hand}") from None
    if not right:
        before = expected != model.sha256
        remedy = f"; to trust it, remove {hash_path(model, path.parent)}" if before else ""
        than = "before" if before else "published"
        raise DataError(f"{url} is another file than {than}: its sha256 does not begin with {expected}{remedy}")


def convert_published(model: PublishedModel, checkpoint: Path, weights: Path) -> None:
    """Write the weights and their side-car. Raises DataError, UsageError."""
    from tools.convert_weights import convert, save  # brings torch, which the list does without

    with checkpoint.open("rb") as content:
        if content.read(100).lstrip()[:1] == b"<":
            raise DataError(
                f"{checkpoint.name}: a web page came in place of {model.address}; is there a login between?"
            )
    found = convert(checkpoint)
    args = found.description["model_args"]
    actual = (found.description["model"], args["num_class"], found.joints, args["in_channels"])
    wanted = (model.model, model.classes, JOINTS, CHANNELS)
    if actual != wanted:
        say = "{} of {} classes, {} joints and {} channels"
        raise DataError(f"{checkpoint}: {say.format(*actual)}; {model.name} is {say.format(*wanted)}")
    found.description.update(PREPARATION, label_names=model.label_names())
    save(found, weights)


# ---- hashes


def check_hash(model: PublishedModel, checkpoint: Path, folder: Path) -> str:
    """The SHA-256 of the checkpoint, if it is what is published and what it was before. Raises DataError."""
    digest, kept = sha256(checkpoint), kept_hash(model, folder)
    if not digest.startswith(model.sha256):
        raise DataError(f"{checkpoint} is not {model.name}: its sha256 is {digest}, not {model.sha256}... as published")
    if kept and digest != kept:
        path = hash_path(model, folder)
        raise DataError(f"{checkpoint}: its sha256 is {digest}, before it was {kept}; to trust it, remove {path}")
    return digest


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def has_hash(path: Path, beginning: str) -> bool:
    return path.is_file() and sha256(path).startswith(beginning)


def hash_path(model: PublishedModel, folder: Path) -> Path:
    return folder / f"{model.name}.sha256"


def kept_hash(model: PublishedModel, folder: Path) -> str:
    """The SHA-256 that was kept; empty if there is none."""
    with suppress(FileNotFoundError):
        words = hash_path(model, folder).read_text(encoding="utf-8", errors="replace").split()
        return words[0] if words else ""
    return ""


def keep_hash(model: PublishedModel, digest: str, folder: Path) -> None:
    """As sha256sum writes it."""
    with atomic_write(hash_path(model, folder), "w") as file:
        file.write(f"{digest}  {model.name}.pth\n")

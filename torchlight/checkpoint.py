"""Save and load, atomically and safely: weights (epoch80_model.pt, as the original's) and what --resume needs (checkpoint.pt).

Files are read with torch.load(weights_only=True): tensors and plain containers, never code.
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from torchlight.errors import UsageError, did_you_mean, short
from torchlight.files import named_errors, temporary_name, write_bytes

NESTS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")  # where others keep the weights
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")  # what wrappers put before every key


def unwrap(model: nn.Module) -> nn.Module:
    """The network inside DataParallel, DistributedDataParallel and torch.compile."""
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):  # torch.compile
            model = model._orig_mod
        else:
            return model


# ---- weights


def save_weights(model: nn.Module, path: str | Path) -> None:
    """The state dict as the original writes it: an OrderedDict of CPU tensors, no `module.` before the keys, no half floats."""
    weights = OrderedDict((key, _plain(value)) for key, value in unwrap(model).state_dict().items())
    write_bytes(path, _serialised(weights))


def _serialised(content: Any) -> bytes:
    """What torch.save writes. In memory first: torch tells of a full disk in many lines, and not which file."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().cpu()
    tensor = tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
    return tensor.clone(memory_format=torch.contiguous_format)  # a view would take the whole of what it looks at along


def load_weights(
    model: nn.Module,
    path: str | Path,
    ignore_weights: Sequence[str] = (),
    log: Callable[[str], Any] = print,
    detail: Callable[[str], Any] = lambda line: None,
) -> None:
    """Put the weights of a file into the model, all of them or none.

    Args:
        ignore_weights: beginnings of keys; these are not loaded and need not be in the file.
        log: gets the lines a person should see.
        detail: gets the line for every single weight.

    Raises:
        UsageError: no such file, not a file of weights, or weights that do not fit (told in up to 12 lines).
    """
    model = unwrap(model)
    own = model.state_dict()
    weights = _without_prefix(read_weights(path), own)
    log(f"Load weights from {path}.")
    for start in ignore_weights:
        names = [key for key in weights if key.startswith(start)]
        if not names and not any(key.startswith(start) for key in own):
            near = did_you_mean(start, {part for key in {**weights, **own} for part in _beginnings(key)})
            raise UsageError(f"ignore_weights: no weight of {path} begins with {short(start)}{near}")
        for name in names:
            del weights[name]
            log(f"Filter [{start}] remove weights [{name}].")
    missing = [key for key in own if key not in weights]
    excused = tuple(ignore_weights)
    _check_fit(weights, own, [key for key in missing if not key.startswith(excused)], path, model)
    for key in weights:
        detail(f"Load weights [{key}].")
    for key in missing:
        log(f"Can not find weights [{key}].")
    model.load_state_dict({**own, **weights})


def check_weights(model: nn.Module, path: str | Path) -> None:
    """Whether load_weights would succeed; the model may be on the meta device. Raises UsageError."""
    own = model.state_dict()
    weights = _without_prefix(read_weights(path), own)
    _check_fit(weights, own, [key for key in own if key not in weights], path, model)


def read_weights(path: str | Path) -> OrderedDict[str, torch.Tensor]:
    """The weights in a file: a state dict, or one that lies under `state_dict`, `model`... in a training checkpoint."""
    content = _read(path)
    inside = [content[nest] for nest in NESTS if nest in content] if isinstance(content, Mapping) else []
    for candidate in (content, *inside):
        if isinstance(candidate, Mapping) and candidate:
            pairs = candidate.items()
            if all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in pairs):
                for key, value in pairs:
                    if strange := _strange(value):
                        raise UsageError(
                            f"{path}: {short(key)} is {strange}; weights are plain tensors of finite numbers"
                        )
                return OrderedDict(pairs)
    held = (
        f"a dict of {', '.join(map(short, list(content)[:6]))}"
        if isinstance(content, Mapping)
        else type(content).__name__
    )
    raise UsageError(f"{path}: no weights in it (found {held or 'nothing'}); a state dict is needed")


def _strange(tensor: torch.Tensor) -> str:
    """What a weight cannot be, in a few words; empty if it can be one."""
    if tensor.is_nested or tensor.layout != torch.strided:
        return "a nested tensor" if tensor.is_nested else "a sparse tensor"
    if tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
        return "without values" if tensor.is_meta else f"of {str(tensor.dtype).removeprefix('torch.')}"
    return "" if torch.isfinite(tensor).all() else "not finite everywhere"


def _without_prefix(weights: OrderedDict, own: Mapping) -> OrderedDict:
    """Keys without what a wrapper put before every one of them, unless the model itself has it."""
    for prefix in PREFIXES * 2:  # twice: `module._orig_mod.x` and `_orig_mod.module.x`
        if all(key.startswith(prefix) for key in weights) and not any(key.startswith(prefix) for key in own):
            weights = OrderedDict((key.removeprefix(prefix), value) for key, value in weights.items())
    return weights


def _beginnings(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts) + 1)]


def _check_fit(weights: Mapping, own: Mapping, missing: list[str], path: str | Path, model: nn.Module) -> None:
    missing = [key for key in missing if not key.endswith(".num_batches_tracked")]  # torch < 0.4.1 had none
    unexpected = [key for key in weights if key not in own]
    reshaped = [key for key in weights if key in own and weights[key].shape != own[key].shape]
    wrong = [*missing, *unexpected, *reshaped]
    if not wrong:
        return
    name = f"{type(model).__module__}.{type(model).__qualname__}"
    fits = len(weights) - len(unexpected) - len(reshaped)
    lines = [f"{path} does not fit {name}: {fits} of its {len(own)} weights can be loaded"]
    shapes = [f"{k}: {tuple(weights[k].shape)} in the file, {tuple(own[k].shape)} in the model" for k in reshaped]
    lines += _some("another shape", shapes) + _some("not in the file", missing) + _some("not in the model", unexpected)
    modules = {key.split(".")[0] for key in wrong}
    if fits and len(modules) == 1:
        lines.append(f"to load all the rest: --ignore_weights {modules.pop()}")
    elif not fits:
        lines.append("is it a file of another network?")
    raise UsageError("\n       ".join(lines))


def _some(what: str, names: list[str]) -> list[str]:
    """At most three lines."""
    shown = names if len(names) <= 3 else [*names[:2], f"and {len(names) - 2} more"]
    return [f"{what}: {name}" if i == 0 else f"{' ' * len(what)}  {name}" for i, name in enumerate(shown)]


def _read(path: str | Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about strange pickles; the error below says it better
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        near = did_you_mean(Path(path).name, (file.name for file in Path(path).parent.glob("*.pt*")))
        raise UsageError(f"{path} does not exist{near}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # a damaged file can break the reader in any way
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            reason = f"it asks for {code[1]} when loaded; only tensors and plain containers are taken"
        else:
            reason = "not a file of torch.save, or cut short"
        raise UsageError(f"{path}: cannot be loaded: {reason}") from error


# ---- resuming


def previous_of(path: str | Path) -> Path:
    """Where save_checkpoint keeps the checkpoint before the last one."""
    path = Path(path)
    return path.with_name(f"{path.stem}_previous{path.suffix}")


def save_checkpoint(path: str | Path, **state: Any) -> None:
    """Whatever a run needs to go on: state dicts, numbers, random_state(). Tensors and plain containers only.

    The checkpoint that was there is kept beside it, see previous_of.
    """
    path = Path(path)
    content = _serialised(_without_numpy(state))
    if path.exists():
        with named_errors(path):
            _keep(path, previous_of(path))
    write_bytes(path, content)


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name, under which it stays when the first one gets new content."""
    temporary = temporary_name(previous)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without hard links
        shutil.copy2(path, temporary)
    temporary.replace(previous)
    temporary.unlink(missing_ok=True)  # rename leaves both where they are the same file already


def _without_numpy(value: Any) -> Any:
    """numpy's numbers as python's: torch.save would write them and torch.load(weights_only=True) refuse them."""
    if isinstance(value, Mapping):
        return {key: _without_numpy(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(_without_numpy(each) for each in value)
    return value.item() if isinstance(value, np.generic) else value


def load_checkpoint(path: str | Path, schema: Mapping[str, Callable[[Any], bool]] | None = None) -> dict[str, Any]:
    """What save_checkpoint was given, on the CPU.

    Args:
        schema: for every key that must be there, whether a value is valid.

    Raises:
        UsageError: the file is damaged, or is not such a checkpoint.
    """
    state = _read(path)
    if not isinstance(state, dict) or "epoch" not in state:
        raise UsageError(
            f"{path}: nothing to resume from: checkpoint.pt is needed; a file of weights goes to --weights"
        )
    for key, is_valid in (schema or {}).items():
        if key not in state:
            raise UsageError(f"{path}: damaged, {key} is missing")
        if not is_valid(state[key]):
            raise UsageError(f"{path}: damaged, {key} is {short(state[key])}")
    return state


def random_state() -> dict[str, Any]:
    """The state of the generators of python, numpy, torch and every GPU, as tensors and numbers."""
    version, numbers, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "python": [version, torch.tensor(numbers), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go on where random_state() was taken; GPUs that are not here any more are left out."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for device, generator in enumerate(state["cuda"][:here]):
        torch.cuda.set_rng_state(generator, device)

"""Dotted names: `net.st_gcn.Model` in a config is imported and called with `model_args`; nothing to register.

model = build("net.st_gcn.Model", {"in_channels": 3, "num_class": 60}, "model_args")
"""

from __future__ import annotations

import importlib.util
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

from torchlight.errors import UsageError, did_you_mean, one_line, short


def import_class(dotted: str) -> type:
    """`package.module.Class` -> the class, or UsageError saying which part is not there."""
    module_name, _, name = str(dotted).rpartition(".")
    if not all(part.isidentifier() for part in str(dotted).split(".")) or not module_name:
        raise UsageError(f"{short(dotted)} is not the dotted name of a class, such as package.module.Class")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not error.name or not f"{module_name}.".startswith(f"{error.name}."):
            raise UsageError(f"{dotted}: {module_name} needs a module that is not here: {error}") from error
        raise UsageError(f"{dotted}: no module {error.name}{_near_module(error.name)}") from None
    except (Exception, SystemExit) as error:  # whatever a module of a user's own does when it is imported
        raise UsageError(f"{dotted}: {module_name} cannot be imported: {_told(error)}") from error
    found = getattr(module, name, None)
    if (
        found is None
        and importlib.util.find_spec(module_name).submodule_search_locations
        and importlib.util.find_spec(dotted)
    ):
        found = importlib.import_module(dotted)
    if found is None:
        raise UsageError(f"{dotted}: {module_name} has no {name}{did_you_mean(name, _classes(module))}")
    if not inspect.isclass(found):
        inside = [f"{dotted}.{key}" for key in _classes(found)]
        raise UsageError(f"{dotted} is a {type(found).__name__}, not a class{did_you_mean(f'{dotted}.{name}', inside)}")
    return found


def _near_module(name: str) -> str:
    package, _, last = name.rpartition(".")
    folder = getattr(importlib.import_module(package), "__path__", []) if package else None
    return did_you_mean(last, (module.name for module in pkgutil.iter_modules(folder)))


def _classes(module: object) -> list[str]:
    """Names of the classes that a module defines itself."""
    return [name for name, found in inspect.getmembers(module, inspect.isclass) if found.__module__ == module.__name__]


def _takes(callable: Callable) -> tuple[list[inspect.Parameter], bool]:
    """The arguments that can be given by name, and whether any other name goes too (**kwargs)."""
    parameters = inspect.signature(callable).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters)


def check_arguments(callable: Callable, kwargs: dict[str, Any], where: str) -> None:
    """kwargs against the signature; UsageError names the nearest right argument, or those that are missing."""
    named, any_name = _takes(callable)
    takes = [p.name for p in named]
    who, listing = f"{callable.__module__}.{callable.__qualname__}", f"(it takes {', '.join(takes) or 'none'})"
    for key in kwargs:
        if key not in takes and not (any_name and isinstance(key, str)):
            raise UsageError(f"{where}: {who} has no argument {short(key)}{did_you_mean(key, takes)} {listing}")
    if missing := [p.name for p in named if p.default is p.empty and p.name not in kwargs]:
        raise UsageError(f"{where}: {who} needs {', '.join(missing)} {listing}")


def build(
    dotted: str, kwargs: dict[str, Any], where: str, check: Callable[[type, str], None] | None = None, **extra: Any
) -> Any:
    """Import the class, check it and the arguments, call it.

    Args:
        dotted, kwargs: what a person wrote, e.g. `model` and `model_args`.
        where: the key of kwargs, for the error.
        check: called with the class and its dotted name before anything of it is; raises UsageError.
        extra: what the program offers on top; passed on if the class takes it and kwargs does not have it already.
    """
    found = import_class(dotted)
    if check:
        check(found, dotted)
    named, any_name = _takes(found)
    offered = {key: value for key, value in extra.items() if any_name or key in [p.name for p in named]}
    kwargs = {**offered, **kwargs}
    check_arguments(found, kwargs, where)
    try:
        return found(**kwargs)
    except (UsageError, OSError):
        raise
    except (ValueError, TypeError) as error:
        own = type(error).__module__ == "builtins"  # an error class of a package's own has a line of its own
        raise UsageError(f"{where}: {dotted}: {one_line(error)}" if own else str(error)) from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"{where}: {dotted}: {_told(error)}") from error


def _told(error: BaseException) -> str:
    return one_line(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {one_line(error)}"

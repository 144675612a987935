"""Parser + YAML + command line -> one namespace: command line > config file > default.

    parser = Parser(description="Train and test")
    parser.add_argument("-c", "--config")
    parser.add_argument("--base_lr", type=float, default=0.01)
    parser.add_argument("--model_args", action=DictAction)
    arg = parse(parser, sys.argv[1:])           # -c train.yaml --model_args "dropout=0.5"
    model = build(arg.model, arg.model_args, "model_args")

Whatever a person typed wrong is a UsageError of one line; who called prints it and exits with 2.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import difflib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml


class UsageError(ValueError, argparse.ArgumentTypeError):  # the second, so that argparse keeps the line as it is
    """What a person typed is wrong; the message is one line (a second, indented, for the remedy)."""


def did_you_mean(word: object, names: Iterable[object]) -> str:
    """`; did you mean 'batch_size'?` for the nearest name, or nothing."""
    lower = {str(name).lower(): name for name in names}
    near = difflib.get_close_matches(str(word).lower(), lower, n=1)
    return f"; did you mean '{lower[near[0]]}'?" if near else ""


def _short(value: object) -> str:
    return repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:76]} ..."


# ---- the command line


def str2bool(text: str) -> bool:
    """yes/true/t/y/1 and no/false/f/n/0, in any case."""
    if text.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if text.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise UsageError(f"{text!r} is neither true nor false")


def number(kind: type, low: float, high: float = float("inf")) -> Callable[[str], float]:
    """A type for add_argument: a whole number or a number, low <= x <= high."""
    reach = f"from {low} to {high}" if high < float("inf") else f"of at least {low}"

    def convert(text: str) -> float:
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high:
                return value
        raise UsageError(f"{text!r} where {_KINDS[kind]} {reach} belongs")

    return convert


def parse_dict(text: str) -> dict[str, Any]:
    """`a=1,b=dict(c='x')` -> {"a": 1, "b": {"c": "x"}}: literals, never evaluated; tuples become lists."""
    try:
        tree = ast.parse(f"dict({text}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"cannot read {_short(text)}; write it like a=1,b='text',c=dict(d=[1,2])") from None
    return _literal(tree, text)


def _literal(node: ast.expr, text: str) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            return node.value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Name(id="true" | "false"):  # as in YAML
            return node.id == "true"
        case ast.List() | ast.Tuple():
            return [_literal(element, text) for element in node.elts]
        case ast.Dict() if all(isinstance(key, ast.Constant | ast.UnaryOp) for key in node.keys):
            return {_literal(key, text): _literal(value, text) for key, value in zip(node.keys, node.values)}
        case ast.Call(func=ast.Name(id="dict"), args=[]) if all(keyword.arg for keyword in node.keywords):
            names = [keyword.arg for keyword in node.keywords]
            if twice := [name for name in names if names.count(name) > 1]:
                raise UsageError(f"{twice[0]!r} is given twice in {_short(text)}")
            return {keyword.arg: _literal(keyword.value, text) for keyword in node.keywords}
        case ast.Name():
            raise UsageError(f"{node.id} in {_short(text)} is neither number nor text; a text has quotes: '{node.id}'")
    raise UsageError(f"{ast.unparse(node)} in {_short(text)} is not a number, text, list or dict(...)")


class DictAction(argparse.Action):
    """`--model_args "dropout=0.5,graph_args=dict(layout='x')"`: its top-level keys go into the config's dict."""

    def __init__(self, option_strings: Sequence[str], dest: str, default: dict | None = None, **kwargs: Any) -> None:
        kwargs = {"type": parse_dict, "metavar": "K=V,...", **kwargs}
        super().__init__(option_strings, dest, default=default or {}, **kwargs)

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest, None) or {}), **values})


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that guesses no abbreviations, raises UsageError and knows the nearest option."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))

    def parse_args(self, args=None, namespace=None) -> argparse.Namespace:
        arg, unknown = self.parse_known_args(args, namespace)
        if unknown:
            word = next((word for word in unknown if word.startswith("-")), unknown[0]).split("=")[0]
            self.error(f"unknown option {word}{did_you_mean(word, self._option_string_actions)}")
        return arg

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # argparse's own names no nearest choice
        if action.choices is not None and value not in action.choices:
            choices = ", ".join(map(str, action.choices))
            line = f"{value!r} is not one of {choices}{did_you_mean(value, action.choices)}"
            raise argparse.ArgumentError(action, line)


# ---- the config file


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys, reads 1e-3 as a float and leaves dates as text."""

    yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node, lines = super().compose_mapping_node(anchor), {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                first = lines.setdefault((key.tag, key.value), key.start_mark)
                if first is not key.start_mark:
                    problem = f"duplicate key {key.value!r}, first given in line {first.line + 1}"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d[\d_]*(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load_config(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file, deep-merged over that of its `base: other.yaml` (relative to the file), if any.

    Raises:
        UsageError: not there, not readable, not YAML, a duplicate key, not a mapping, bases in a circle.
    """
    merged: dict[str, Any] = {}
    for _, own in _files(Path(path)):
        merged = _merge(merged, own)
    return merged


def _files(path: Path, below: tuple[Path, ...] = ()) -> list[tuple[Path, dict]]:
    """(file, its own mapping) of a config and its bases, the deepest base first."""
    if path.resolve() in [file.resolve() for file in below]:
        raise UsageError(f"{below[-1]}: base: a circle: {' -> '.join(map(str, (*below, path)))}")
    own = _read(path, below)
    base = own.pop("base", None)
    if base is None:
        return [(path, own)]
    if not isinstance(base, str):
        raise UsageError(f"{path}: base: {base!r} where the path of a YAML file belongs")
    return [*_files(path.parent / base, (*below, path)), (path, own)]


def _read(path: Path, below: tuple[Path, ...]) -> dict:
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        near = did_you_mean(path.name, (file.name for file in path.parent.glob("*.y*ml")))
        raise UsageError(f"{path} {reason}{near}{f' (base of {below[-1]})' if below else ''}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = "a tab; YAML wants spaces" if "'\\t'" in (error.problem or "") else error.problem or error.context
        raise UsageError(f"{path}:{mark.line + 1 if mark else 1}: {problem}") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # the latter: `!!bool maybe` and kin
        raise UsageError(f"{path}: not a YAML text file ({' '.join(str(error).split())})") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path}:1: a {type(content).__name__} where `key: value` lines belong")
    return content


def _merge(base: dict, own: dict) -> dict:
    both = {
        key: _merge(base[key], own[key])
        for key in own
        if isinstance(own[key], dict) and isinstance(base.get(key), dict)
    }
    return {**base, **own, **both}


_KINDS = {str: "a text in quotes", int: "a whole number", float: "a number", str2bool: "true or false"}


def _convert(parser: argparse.ArgumentParser, action: argparse.Action, value: Any) -> Any:
    """A value of the config file as the option of the command line would have it, or UsageError."""
    if isinstance(action, DictAction):
        value = parse_dict(value) if isinstance(value, str) else value
        return value if isinstance(value, dict) else _refuse(value, "a mapping of arguments")
    if action.nargs in ("+", "*"):
        values = value if isinstance(value, list) else [value]
        if action.nargs == "+" and not values and action.default != []:
            _refuse(value, "one value or more")
        return [_convert_one(parser, action, each) for each in values]
    return None if value is None and action.default is None else _convert_one(parser, action, value)


def _convert_one(parser: argparse.ArgumentParser, action: argparse.Action, value: Any) -> Any:
    kind = str2bool if action.nargs == 0 else action.type or str
    belongs = _KINDS.get(kind, f"a {getattr(kind, '__name__', kind)}")
    if not isinstance(value, str) and (kind is str or not isinstance(value, bool | int | float)):
        _refuse(value, belongs)
    try:
        value = kind(str(value))  # 1 -> "1" -> 1.0, and "True" is no number
    except argparse.ArgumentTypeError as error:
        raise UsageError(str(error)) from None
    except (TypeError, ValueError):
        _refuse(value, belongs)
    if action.choices is not None:
        try:
            parser._check_value(action, value)
        except argparse.ArgumentError as error:
            raise UsageError(error.message) from None
    return value


def _refuse(value: Any, belongs: str) -> NoReturn:
    raise UsageError(f"{'nothing' if value is None else _short(value)} where {belongs} belongs")


def parse(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """Command line > the file of --config > defaults. Only plain types inside: yaml.safe_dump(vars(arg)) always works.

    Raises:
        UsageError: an unknown option or key (with the nearest), or a value of the wrong kind (with its file and key).
    """
    path = getattr(parser.parse_args(argv), "config", None)
    actions = {action.dest: action for action in parser._actions if action.dest != "help"}
    config: dict[str, Any] = {}
    for file, own in _files(Path(path)) if path else ():
        for key, value in own.items():
            if key not in actions:
                raise UsageError(f"{file}: unknown key {key!r}{did_you_mean(key, actions)}")
            try:
                own[key] = _convert(parser, actions[key], value)
            except UsageError as error:
                raise UsageError(f"{file}: {key}: {error}") from None
        config = {**_merge(config, own), "config": path}
    return copy.deepcopy(parser.parse_args(argv, argparse.Namespace(**config)))


# ---- dotted names


def import_class(dotted: str) -> type:
    """`package.module.Class` -> the class, or UsageError saying which part is not there."""
    module_name, _, name = str(dotted).rpartition(".")
    if not all(part.isidentifier() for part in str(dotted).split(".")) or not module_name:
        raise UsageError(f"{dotted!r} is not the dotted name of a class, such as package.module.Class")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not error.name or not f"{module_name}.".startswith(f"{error.name}."):
            raise UsageError(f"{dotted}: {module_name} needs a module that is not here: {error}") from error
        raise UsageError(f"{dotted}: no module {error.name}{_near_module(error.name)}") from None
    except ImportError as error:
        raise UsageError(f"{dotted}: {module_name} cannot be imported: {error}") from error
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
            raise UsageError(f"{where}: {who} has no argument {key!r}{did_you_mean(key, takes)} {listing}")
    if missing := [p.name for p in named if p.default is p.empty and p.name not in kwargs]:
        raise UsageError(f"{where}: {who} needs {', '.join(missing)} {listing}")


def build(dotted: str, kwargs: dict[str, Any], where: str, **extra: Any) -> Any:
    """Import the class, check the arguments, call it.

    Args:
        dotted, kwargs: what a person wrote, e.g. `model` and `model_args`.
        where: the key of kwargs, for the error.
        extra: what the program offers on top; passed on if the class takes it and kwargs does not have it already.
    """
    found = import_class(dotted)
    named, any_name = _takes(found)
    offered = {key: value for key, value in extra.items() if any_name or key in [p.name for p in named]}
    kwargs = {**offered, **kwargs}
    check_arguments(found, kwargs, where)
    try:
        return found(**kwargs)
    except UsageError:
        raise
    except (ValueError, TypeError) as error:
        own = type(error).__module__ == "builtins"  # an error class of somebody's own has a line of its own
        raise UsageError(f"{where}: {dotted}: {error}" if own else str(error)) from error

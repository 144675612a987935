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
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from torchlight.config import config_files, merge, settings_files
from torchlight.errors import UsageError, did_you_mean, short
from torchlight.manifest import read_manifest
from torchlight.project import located


def str2bool(text: str) -> bool:
    """yes/true/t/y/1 and no/false/f/n/0, in any case."""
    if text.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if text.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise UsageError(f"{short(text)} is neither true nor false")


def number(kind: type, low: float, high: float = float("inf")) -> Callable[[str], float]:
    """A type for add_argument: a whole number or a number, low <= x <= high."""
    reach = f"from {low} to {high}" if high < float("inf") else f"of at least {low}"

    def convert(text: str) -> float:
        with contextlib.suppress(ValueError):
            value = kind(text)
            if low <= value <= high:
                return value
        raise UsageError(f"{short(text)} where {_KINDS[kind]} {reach} belongs")

    return convert


def or_word(kind: Callable[[str], Any], word: str) -> Callable[[str], Any]:
    """A type for add_argument: this one word, or what another type takes."""
    return lambda text: word if text == word else kind(text)


_QUOTED = r"('[^']*'|\"[^\"]*\")"
_BARE_PATH = r"(?<==)(?=[^,]*[a-zA-Z])[^\s,=()\[\]{}'\"]*/[^\s,=()\[\]{}'\"]*"  # a slash, and a letter: not 1/2


def parse_dict(text: str) -> dict[str, Any]:
    """`a=1,b=dict(c='x')` -> {"a": 1, "b": {"c": "x"}}: literals, never evaluated. A path needs no quotes."""
    try:
        return _parse(text)
    except UsageError:
        quoted = re.sub(f"{_QUOTED}|{_BARE_PATH}", lambda found: found[1] or repr(found[0]), text)
        if quoted == text:
            raise
        return _parse(quoted)


def _parse(text: str) -> dict[str, Any]:
    try:
        tree = ast.parse(f"dict({text}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"cannot read {short(text)}; write it like a=1,b='text',c=dict(d=[1,2])") from None
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
                raise UsageError(f"{short(twice[0])} is given twice in {short(text)}")
            return {keyword.arg: _literal(keyword.value, text) for keyword in node.keywords}
        case ast.Name():
            raise UsageError(f"{node.id} in {short(text)} is neither number nor text; a text has quotes: '{node.id}'")
    raise UsageError(f"{ast.unparse(node)} in {short(text)} is not a number, text, list or dict(...)")


class DictAction(argparse.Action):
    """`--model_args "dropout=0.5,graph_args=dict(layout='x')"`: its top-level keys go into the config's dict."""

    def __init__(self, option_strings: Sequence[str], dest: str, default: dict | None = None, **kwargs: Any) -> None:
        kwargs = {"type": parse_dict, "metavar": "K=V,...", **kwargs}
        super().__init__(option_strings, dest, default=default or {}, **kwargs)

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest, None) or {}), **values})


EPILOG = (
    "A config is a YAML file of these options. It may begin from another one, `base: other.yaml`, whose mappings it changes "
    "key by key; a null deletes a key."
)


class _Help(argparse.HelpFormatter):
    """Every option that takes a value shows its default."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        has_default = "default" in text or action.nargs == 0 or action.default in (None, argparse.SUPPRESS, [], {})
        return text if has_default else f"{text} (default: %(default)s)"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that guesses no abbreviations, raises UsageError and knows the nearest option."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "epilog": EPILOG, "formatter_class": _Help, **kwargs})
        self.add_argument(
            "--traceback", action="store_true", default=argparse.SUPPRESS, help="show where an error comes from"
        )

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
            line = f"{short(value)} is not one of {choices}{did_you_mean(value, action.choices)}"
            raise argparse.ArgumentError(action, line)


_KINDS = {str: "a text in quotes", int: "a whole number", float: "a number", str2bool: "true or false"}


def _convert(parser: argparse.ArgumentParser, action: argparse.Action, value: Any) -> Any:
    """A value of the config file as the option of the command line would have it, or UsageError."""
    if isinstance(action, DictAction):
        value = parse_dict(value) if isinstance(value, str) else value
        return value if isinstance(value, dict) else _refuse(value, "a mapping of arguments")
    if value is None and action.default is None:
        return None
    if action.nargs in ("+", "*"):
        values = value if isinstance(value, list) else [value]
        if action.nargs == "+" and not values and action.default != []:
            _refuse(value, "one value or more")
        return [_convert_one(parser, action, each) for each in values]
    return _convert_one(parser, action, value)


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
    raise UsageError(f"{'nothing' if value is None else short(value)} where {belongs} belongs")


def _by_key(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options by their keys in a config: the names of the command line, former ones too."""
    actions = [action for action in parser._actions if action.dest not in ("help", "traceback", "from_manifest")]
    names = {name[2:]: action for action in actions for name in action.option_strings if name.startswith("--")}
    return {action.dest: action for action in reversed(actions)} | names


def parse(parser: Parser, argv: Sequence[str], settings: Mapping[str, Any] | None = None) -> argparse.Namespace:
    """Command line > the file of --config, or the settings in a manifest (--from) > defaults. Only plain types inside:
    yaml.safe_dump(vars(arg)) always works.

    Args:
        settings: of a program, in place of a file: its keys, with a `base`, a file, if there is one.

    Raises:
        UsageError: an unknown option or key (with the nearest), or a value of the wrong kind (with its file and key).
    """
    given = parser.parse_args(argv)
    path, manifest = getattr(given, "config", None), getattr(given, "from_manifest", None)
    if path and manifest:
        raise UsageError("--config and --from both say what to run; give one of them")
    files = config_files(located(path)) if path else []
    if manifest:
        phase = parser.parse_args(argv, argparse.Namespace(phase=None)).phase  # None where it is not given
        files = [(manifest, read_manifest(manifest, phase)["config"])]
    if settings is not None:
        files = settings_files(settings)
    actions = _by_key(parser)
    config: dict[str, Any] = {}
    for file, own in files:
        converted: dict[str, Any] = {}
        for key, value in own.items():
            if key not in actions:
                raise UsageError(f"{file}: unknown key {short(key)}{did_you_mean(key, actions)}")
            action = actions[key]
            if action.dest in converted:
                raise UsageError(f"{file}: {key}: is given twice, as {action.dest} too")
            try:
                converted[action.dest] = _convert(parser, action, value)
            except UsageError as error:
                raise UsageError(f"{file}: {key}: {error}") from None
        config = {**merge(config, converted), "config": path}
    arg = copy.deepcopy(parser.parse_args(argv, argparse.Namespace(**config)))
    vars(arg).pop("traceback", None)  # of this command, not of what it does
    return arg

"""YAML files: read strictly, and laid over the file that `base:` names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import yaml

from torchlight.errors import UsageError, did_you_mean, one_line, short
from torchlight.nesting import check_unfolded
from torchlight.project import located

LARGEST = 100_000  # keys and values of a file, aliases counted as often as they are named


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
                    problem = f"duplicate key {short(key.value)}, first given in line {first.line + 1}"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = super().construct_yaml_int(node)
        if value.bit_length() > 1000:  # thousands of digits cannot even be printed
            raise yaml.MarkedYAMLError(problem="a number of hundreds of digits", problem_mark=node.start_mark)
        return value

    def construct_document(self, node: yaml.Node) -> Any:
        check_unfolded(node, _children, LARGEST)  # before aliases are followed and `<<` merges what they name
        return super().construct_document(node)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes the texts that _Loader would read as numbers, e.g. "1e3"."""


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?([0-9][0-9_]*(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
        list("-+.0123456789"),
    )


def load_config(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file, deep-merged over that of its `base: other.yaml` (relative to the file), if any.

    Raises:
        UsageError: not there, not readable, not YAML, a duplicate key, not a mapping, bases in a circle.
    """
    merged: dict[str, Any] = {}
    for _, own in config_files(Path(path)):
        merged = merge(merged, own)
    return merged


def load_yaml(path: Path) -> Any:
    """The content of one YAML file, read strictly: no key twice, 1e-3 is a number, dates are text.

    Raises:
        UsageError: one line with the file, and the line in it where there is one.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise UsageError(f"{path} {reason}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a YAML text file") from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: str | Path) -> Any:
    """The content of a YAML text, which errors say is of this file; see load_yaml."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = "a tab; YAML wants spaces" if "'\\t'" in (error.problem or "") else error.problem or error.context
        raise UsageError(f"{path}:{mark.line + 1 if mark else 1}: {one_line(problem)}") from None
    except RecursionError:
        raise UsageError(f"{path}: nested too deeply") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # the latter: `!!bool maybe` and kin
        raise UsageError(f"{path}: not a YAML text file ({one_line(error)})") from None


def dump_yaml(content: Any, file: IO[str], **style: Any) -> None:
    """Plain values as YAML that load_yaml reads back as they are; `style` is that of yaml.dump."""
    yaml.dump(content, file, _Dumper, allow_unicode=True, **style)


def config_files(path: Path, below: tuple[Path, ...] = ()) -> list[tuple[Path, dict]]:
    """(file, its own mapping) of a config and its bases, the deepest base first."""
    if path.resolve() in [file.resolve() for file in below]:
        raise UsageError(f"{below[-1]}: base: a circle: {' -> '.join(map(str, (*below, path)))}")
    return _with_bases(_read(path, below), path, below)


def settings_files(settings: Mapping[str, Any]) -> list[tuple[Path, dict]]:
    """The same for settings that a program gives in place of a file."""
    return _with_bases(dict(settings), Path("settings"), ())


def _with_bases(own: dict, path: Path, below: tuple[Path, ...]) -> list[tuple[Path, dict]]:
    base = own.pop("base", None)
    if base is None:
        return [(path, own)]
    if not isinstance(base, str):
        raise UsageError(f"{path}: base: {short(base)} where the path of a YAML file belongs")
    beside, elsewhere = path.parent / base, located(base)  # the latter: a base of the project's own config/
    file = elsewhere if elsewhere.exists() and not beside.exists() else beside
    return [*config_files(file, (*below, path)), (path, own)]


def _read(path: Path, below: tuple[Path, ...]) -> dict:
    if not path.exists():
        near = did_you_mean(path.name, (file.name for file in path.parent.glob("*.y*ml")))
        raise UsageError(f"{path} does not exist{near}{f' (base of {below[-1]})' if below else ''}")
    content = load_yaml(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path}:1: a {type(content).__name__} where `key: value` lines belong")
    return content


def merge(base: dict, own: dict) -> dict:
    """`own` laid over `base`: nested mappings are merged key by key, and there a null deletes the base's key."""
    return {**base, **{key: _merge_value(base.get(key), value) for key, value in own.items()}}


def _merge_value(base: Any, own: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(own, dict)):
        return own
    return {key: value for key, value in merge(base, own).items() if not (value is None and key in own)}

import keyword
import subprocess
import sys
from argparse import BooleanOptionalAction
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from torchlight.arguments import DictAction, Parser, parse, parse_dict, str2bool
from torchlight.classes import build, check_arguments, import_class
from torchlight.config import load_config
from torchlight.errors import UsageError, did_you_mean

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def parser() -> Parser:
    p = Parser(prog="main.py")
    p.add_argument("-c", "--config")
    p.add_argument("-w", "--work_dir", default="./work_dir/tmp")
    p.add_argument("--phase", choices=["train", "test"], default="train")
    p.add_argument("--optimizer", choices=["SGD", "Adam"], default="SGD")
    p.add_argument("--base_lr", type=float, default=0.01)
    p.add_argument("--batch_size", type=int, default=256)
    p.add_argument("--device", type=int, nargs="+", default=[0])
    p.add_argument("--step", type=int, nargs="+", default=[])
    p.add_argument("--ignore_weights", nargs="+", default=[])
    p.add_argument("--use_gpu", type=str2bool, default=True)
    p.add_argument("--debug", action="store_true")
    p.add_argument("--tidy", action=BooleanOptionalAction, default=False)
    p.add_argument("--weights")
    p.add_argument("--model_args", action=DictAction)
    return p


@pytest.fixture
def with_config(parser, tmp_path):
    """parse() of a config text and further words of a command line."""

    def run(text: str, *words: str):
        (tmp_path / "x.yaml").write_bytes(text.encode())
        return parse(parser, ["-c", str(tmp_path / "x.yaml"), *words])

    return run


def line_of(call, *args) -> str:
    with pytest.raises(UsageError) as caught:
        call(*args)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# ---- values


@pytest.mark.parametrize("word", ["yes", "TRUE", "t", "Y", "1"])
def test_words_for_true(word):
    assert str2bool(word) is True


@pytest.mark.parametrize("word", ["no", "False", "F", "n", "0"])
def test_words_for_false(word):
    assert str2bool(word) is False


@pytest.mark.parametrize("word", ["", "maybe", "2", "ja"])
def test_other_words_are_neither(word):
    assert "neither true nor false" in line_of(str2bool, word)


names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
literals = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(names | st.integers(), inner), max_leaves=12
)


def written(value, as_dict_call: bool) -> str:
    """A literal as a person would type it."""
    if isinstance(value, list):
        return f"[{', '.join(written(each, as_dict_call) for each in value)}]"
    if isinstance(value, dict) and as_dict_call and all(isinstance(key, str) for key in value):
        return f"dict({typed(value, as_dict_call)})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {written(each, as_dict_call)}" for key, each in value.items()) + "}"
    return repr(value)


def typed(values: dict, as_dict_call: bool) -> str:
    return ",".join(f"{key}={written(value, as_dict_call)}" for key, value in values.items())


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(names, literals, max_size=4), st.booleans())
def test_typed_literals_come_back(values, as_dict_call):
    assert parse_dict(typed(values, as_dict_call)) == values


def test_dict_of_the_original():
    assert parse_dict("dropout=0.5,graph_args=dict(layout='openpose',strategy=\"spatial\"),b=(1,-2),c=true") == {
        "dropout": 0.5,
        "graph_args": {"layout": "openpose", "strategy": "spatial"},
        "b": [1, -2],
        "c": True,
    }


def test_a_path_needs_no_quotes():
    wanted = {"data_path": "data/my-set/train_data.npy", "b": {"c": "../x_1.pkl"}, "debug": True}
    assert parse_dict("data_path=data/my-set/train_data.npy,b=dict(c=../x_1.pkl),debug=true") == wanted
    assert parse_dict("data_path=/data/a.npy,name='b=c/d,e'") == {"data_path": "/data/a.npy", "name": "b=c/d,e"}
    assert "1 / 2" in line_of(parse_dict, "scale=1/2")


@pytest.mark.parametrize(
    "text",
    [
        "a=__import__('os').system('true')",
        "a=open('x')",
        "a=[x for x in 'y']",
        "a=1)+dict(b=2",
        "a=1) #",
        "a=1)(b=2",
        "a=b'x'",
        "a=1j",
        "a=...",
        "a=f'{1}'",
        "a=1+1",
        "a=not True",
        "**{}",
        "1",
        "a",
        "a=",
        "a=1,a=2",
        "a=dict(1)",
        "a={[1]: 2}",
        "a={**{}}",
        "a=lambda: 0",
        "class=1",
        "a=\0",
        "a=" + "[" * 5000,
        "a=(x:=1)",
        "a=dict",
    ],
)
def test_anything_but_a_literal_is_refused(text):
    assert len(line_of(parse_dict, text)) < 300


def test_bare_word_is_told_to_wear_quotes():
    assert "a text has quotes: 'openpose'" in line_of(parse_dict, "layout=openpose")


@given(st.text(alphabet="ab=(),[]{}'\"1.-#* \n:", max_size=20))
def test_no_text_breaks_the_dict_reader(text):
    with suppress(UsageError):
        assert isinstance(parse_dict(text), dict)


def test_nearest_name():
    assert did_you_mean("bach_size", ["batch_size", "step"]) == "; did you mean 'batch_size'?"
    assert did_you_mean("ADAM", ["SGD", "Adam"]) == "; did you mean 'Adam'?"
    assert did_you_mean("zzz", ["batch_size"]) == ""


# ---- the command line


def test_defaults_alone(parser):
    arg = parse(parser, [])
    assert (arg.base_lr, arg.device, arg.model_args, arg.debug) == (0.01, [0], {}, False)


def test_defaults_are_not_shared(parser):
    parse(parser, []).device.append(7)
    parse(parser, ["--model_args", "a=1"]).model_args["b"] = 2
    assert parse(parser, []).device == [0]
    assert parse(parser, []).model_args == {}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--bach_size", "3"], "unknown option --bach_size; did you mean '--batch_size'?"),
        (["--batch-size=3"], "unknown option --batch-size; did you mean '--batch_size'?"),
        (["--batch", "3"], "unknown option --batch; did you mean '--batch_size'?"),
        (["more"], "unknown option more"),
        (["--phase", "tset"], "--phase: 'tset' is not one of train, test; did you mean 'test'?"),
        (["--optimizer", "adam"], "--optimizer: 'adam' is not one of SGD, Adam; did you mean 'Adam'?"),
        (["--batch_size", "x"], "--batch_size: invalid int value: 'x'"),
        (["--batch_size"], "--batch_size: expected one argument"),
        (["--use_gpu", "maybe"], "--use_gpu: 'maybe' is neither true nor false"),
        (["--device", "0", "one"], "--device: invalid int value: 'one'"),
    ],
)
def test_wrong_words_are_one_line(parser, words, line):
    assert line_of(parse, parser, words) == line


def test_dict_options_add_up(parser):
    arg = parse(parser, ["--model_args", "a=1,b=2", "--model_args", "b=3"])
    assert arg.model_args == {"a": 1, "b": 3}


# ---- the config file


def test_command_line_over_config_over_default(with_config):
    arg = with_config("base_lr: 0.5\nbatch_size: 3", "--batch_size", "4")
    assert (arg.base_lr, arg.batch_size, arg.phase) == (0.5, 4, "train")


def test_default_typed_on_the_command_line_still_beats_the_config(with_config):
    assert with_config("batch_size: 3", "--batch_size", "256").batch_size == 256


def test_top_level_keys_of_a_dict_merge_from_the_command_line(with_config):
    text = "model_args: {dropout: 0.5, graph_args: {layout: a, strategy: b}}"
    arg = with_config(text, "--model_args", "dropout=0,graph_args=dict(layout='c')")
    assert arg.model_args == {"dropout": 0, "graph_args": {"layout": "c"}}


@settings(max_examples=50, deadline=None)
@given(
    config=st.dictionaries(st.sampled_from(["base_lr", "batch_size", "step", "weights"]), st.integers(1, 9)),
    line=st.dictionaries(st.sampled_from(["base_lr", "batch_size", "step", "weights"]), st.integers(1, 9)),
)
def test_priority_for_any_mixture(tmp_path_factory, config, line):
    parser = Parser()
    parser.add_argument("-c", "--config")
    kinds = {"base_lr": (float, None), "batch_size": (int, None), "step": (int, "+"), "weights": (str, None)}
    for key, (kind, nargs) in kinds.items():
        parser.add_argument(f"--{key}", type=kind, nargs=nargs, default=None)
    path = tmp_path_factory.mktemp("config") / "x.yaml"
    path.write_text(yaml.safe_dump({k: str(v) if k == "weights" else v for k, v in config.items()}))
    arg = parse(parser, ["-c", str(path), *(word for k, v in line.items() for word in (f"--{k}", str(v)))])
    for key, (kind, nargs) in kinds.items():
        value = line.get(key, config.get(key))
        expected = None if value is None else [value] if nargs else kind(value)
        assert getattr(arg, key) == expected


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("base_lr: 1e-3", "base_lr", 0.001),
        ("base_lr: 1", "base_lr", 1.0),
        ("base_lr: '0.5'", "base_lr", 0.5),
        ("step: 3", "step", [3]),
        ("device: 0", "device", [0]),
        ("step: []", "step", []),
        ("ignore_weights: fcn", "ignore_weights", ["fcn"]),
        ("use_gpu: no", "use_gpu", False),
        ("use_gpu: 'f'", "use_gpu", False),
        ("use_gpu: 1", "use_gpu", True),
        ("debug: true", "debug", True),
        ("tidy: true", "tidy", True),
        ("weights:", "weights", None),
        ("work_dir: 2020-01-01", "work_dir", "2020-01-01"),
        ("model_args: \"a=1,b=dict(c='d')\"", "model_args", {"a": 1, "b": {"c": "d"}}),
        ("model_args: {a: {b: 1e-1, c: [-2E5, 1.e3, .5e1]}}", "model_args", {"a": {"b": 0.1, "c": [-2e5, 1e3, 5.0]}}),
        ("\ufeffbase_lr: 2\r\nphase: test\r\n", "phase", "test"),
        ("", "base_lr", 0.01),
        ("# nothing\n", "base_lr", 0.01),
        ("model_args:\n  <<: &x {a: 1}\n  a: 2", "model_args", {"a": 2}),
    ],
)
def test_config_values(with_config, text, key, value):
    found = getattr(with_config(text), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("bach_size: 3", "x.yaml: unknown key 'bach_size'; did you mean 'batch_size'?"),
        ("1: 2", "x.yaml: unknown key 1"),
        ("help: 2", "x.yaml: unknown key 'help'"),
        ("base_lr: [0.1]", "x.yaml: base_lr: [0.1] where a number belongs"),
        ("base_lr: true", "x.yaml: base_lr: True where a number belongs"),
        ("base_lr: {}", "x.yaml: base_lr: {} where a number belongs"),
        ("base_lr: fast", "x.yaml: base_lr: 'fast' where a number belongs"),
        ("base_lr:", "x.yaml: base_lr: nothing where a number belongs"),
        ("batch_size: 1.5", "x.yaml: batch_size: 1.5 where a whole number belongs"),
        ("batch_size: true", "x.yaml: batch_size: True where a whole number belongs"),
        ("step: [1, x]", "x.yaml: step: 'x' where a whole number belongs"),
        ("step: [[1]]", "x.yaml: step: [1] where a whole number belongs"),
        ("device: []", "x.yaml: device: [] where one value or more belongs"),
        ("step:", "x.yaml: step: nothing where a whole number belongs"),
        ("use_gpu: 3", "x.yaml: use_gpu: '3' is neither true nor false"),
        ("use_gpu: [yes]", "x.yaml: use_gpu: [True] where true or false belongs"),
        ("debug: 5", "x.yaml: debug: '5' is neither true nor false"),
        ("work_dir: 5", "x.yaml: work_dir: 5 where a text in quotes belongs"),
        ("work_dir: [a]", "x.yaml: work_dir: ['a'] where a text in quotes belongs"),
        ("phase: tset", "x.yaml: phase: 'tset' is not one of train, test; did you mean 'test'?"),
        ("model_args: 3", "x.yaml: model_args: 3 where a mapping of arguments belongs"),
        ("model_args: [1]", "x.yaml: model_args: [1] where a mapping of arguments belongs"),
        ("model_args: 'a=b'", "x.yaml: model_args: b in 'a=b' is neither number nor text; a text has quotes: 'b'"),
        ("base_lr: 1\n\tstep: 2", "x.yaml:2: a tab; YAML wants spaces"),
        ("work_dir:\tabc", "x.yaml:1: a tab; YAML wants spaces"),
        ("base_lr: 1\nstep: 2\nbase_lr: 3", "x.yaml:3: duplicate key 'base_lr', first given in line 1"),
        ("model_args:\n  a: 1\n  a: 2", "x.yaml:3: duplicate key 'a', first given in line 2"),
        ("step: [1", "x.yaml:1: expected ',' or ']', but got '<stream end>'"),
        ("- 1", "x.yaml:1: a list where `key: value` lines belong"),
        ("hello", "x.yaml:1: a str where `key: value` lines belong"),
        ("a: 1\n---\nb: 2", "x.yaml:2: but found another document"),
        ("step: !!python/object/apply:os.system [ls]", "x.yaml:1: could not determine a constructor"),
        ("step: !thing 3", "x.yaml:1: could not determine a constructor"),
        ("? [1]\n: 2", "x.yaml:1: found unhashable key"),
        ("step: !!int abc", "x.yaml: not a YAML text file"),
        ("step: !!bool maybe", "x.yaml: not a YAML text file"),
        ("step: !!timestamp x", "x.yaml: not a YAML text file"),
        ("a: \0", "x.yaml: not a YAML text file"),
        ("base: [1]", "x.yaml: base: [1] where the path of a YAML file belongs"),
        ("base: y.yaml", "y.yaml does not exist; did you mean 'x.yaml'? (base of "),
        ("base: x.yaml", "x.yaml: base: a circle: "),
    ],
)
def test_wrong_config_is_one_line(with_config, text, line):
    assert line in line_of(with_config, text)


def test_config_that_is_not_there_or_not_text(parser, tmp_path):
    (tmp_path / "train.yaml").write_bytes(b"\x80\x02}q\x00.")
    assert "does not exist; did you mean 'train.yaml'?" in line_of(parse, parser, ["-c", str(tmp_path / "tran.yaml")])
    assert "cannot be read (Is a directory)" in line_of(parse, parser, ["-c", str(tmp_path)])
    assert "not a YAML text file" in line_of(parse, parser, ["-c", str(tmp_path / "train.yaml")])


def test_inherited_config_is_relative_to_the_file_and_merges_deeply(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "default.yaml").write_text("base_lr: 0.1\nmodel_args: {a: 1, graph_args: {layout: x, strategy: y}}\n")
    (tmp_path / "middle.yaml").write_text("base: default.yaml\nbatch_size: 2\n")
    (tmp_path / "below/own.yaml").write_text("base: ../middle.yaml\nmodel_args: {graph_args: {layout: z}}\n")
    assert load_config(tmp_path / "below/own.yaml") == {
        "base_lr": 0.1,
        "batch_size": 2,
        "model_args": {"a": 1, "graph_args": {"layout": "z", "strategy": "y"}},
    }


def test_wrong_key_is_reported_with_the_file_it_is_in(parser, tmp_path):
    (tmp_path / "default.yaml").write_text("bach_size: 1")
    (tmp_path / "own.yaml").write_text("base: default.yaml\nbase_lr: 1")
    assert line_of(parse, parser, ["-c", str(tmp_path / "own.yaml")]).startswith(
        f"{tmp_path / 'default.yaml'}: unknown"
    )


def test_two_configs_based_on_each_other(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b.yaml")
    (tmp_path / "b.yaml").write_text("base: a.yaml")
    assert "b.yaml: base: a circle" in line_of(load_config, tmp_path / "a.yaml")


configs = st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), configs), st.dictionaries(st.sampled_from("abc"), configs))
def test_deep_merge_takes_each_leaf_from_the_nearest_file(tmp_path_factory, base, own):
    folder = tmp_path_factory.mktemp("config")
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    (folder / "own.yaml").write_text(yaml.safe_dump({**own, "base": "base.yaml"}))
    merged = load_config(folder / "own.yaml")

    def check(found, below, above):
        assert set(found) == set(below) | set(above)
        for key, value in found.items():
            if key not in above:
                assert value == below[key]
            elif isinstance(above[key], dict) and isinstance(below.get(key), dict):
                check(value, below[key], above[key])
            else:
                assert value == above[key]

    check(merged, base, own)


def test_namespace_goes_through_yaml_and_back(with_config, parser, tmp_path):
    arg = with_config("base_lr: 1e-5\nstep: 3", "--model_args", "a=(1,2),b=dict(c=None)", "--debug")
    (tmp_path / "saved.yaml").write_text(yaml.safe_dump(vars(arg)))
    again = parse(parser, ["-c", str(tmp_path / "saved.yaml")])
    assert vars(again) == {**vars(arg), "config": str(tmp_path / "saved.yaml")}


# ---- dotted names


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `pets` with a few classes, importable for one test."""
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets/__init__.py").write_text("")
    (tmp_path / "pets/needy.py").write_text("import a_module_that_is_not_here")
    (tmp_path / "pets/half.py").write_text("from os import a_name_that_is_not_there")
    (tmp_path / "pets/dog.py").write_text(
        "class Own(ValueError): pass\n"
        "class Dog:\n"
        "    def __init__(self, name, legs=4, error=None):\n"
        "        self.name, self.legs = name, legs\n"
        "        if error: raise {'value': ValueError, 'type': TypeError, 'own': Own, 'os': OSError}[error]('bad dog')\n"
        "class Any:\n"
        "    def __init__(self, **kwargs): self.kwargs = kwargs\n"
        "def bark(): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "pets"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("dotted", "line"),
    [
        ("pets", "'pets' is not the dotted name of a class, such as package.module.Class"),
        (None, "None is not the dotted name of a class, such as package.module.Class"),
        ("", "'' is not the dotted name of a class, such as package.module.Class"),
        ("pets/dog.Dog", "'pets/dog.Dog' is not the dotted name of a class, such as package.module.Class"),
        ("petz.dog.Dog", "petz.dog.Dog: no module petz; did you mean 'pets'?"),
        ("pets.dogs.Dog", "pets.dogs.Dog: no module pets.dogs; did you mean 'dog'?"),
        ("pets.dog.Dig", "pets.dog.Dig: pets.dog has no Dig; did you mean 'Dog'?"),
        ("pets.dog", "pets.dog is a module, not a class; did you mean 'pets.dog.Dog'?"),
        ("pets.dog.bark", "pets.dog.bark is a function, not a class"),
        ("pets.dog.Dog.x", "pets.dog.Dog.x: no module pets.dog.Dog"),
        (
            "pets.needy.X",
            "pets.needy.X: pets.needy needs a module that is not here: No module named 'a_module_that_is_not_here'",
        ),
        ("pets.half.X", "pets.half.X: pets.half cannot be imported: cannot import name 'a_name_that_is_not_there'"),
    ],
)
def test_wrong_dotted_name_is_one_line(package, dotted, line):
    assert line_of(import_class, dotted).startswith(line)


def test_build_calls_the_class(package):
    dog = build("pets.dog.Dog", {"name": "Rex"}, "pet_args", legs=3, colour="brown")
    assert (dog.name, dog.legs) == ("Rex", 3)
    assert build("pets.dog.Any", {"x": 1}, "pet_args", y=2).kwargs == {"x": 1, "y": 2}


def test_what_a_person_wrote_beats_what_the_program_offers(package):
    assert build("pets.dog.Dog", {"name": "Rex", "legs": 5}, "pet_args", legs=3).legs == 5


@pytest.mark.parametrize(
    ("kwargs", "line"),
    [
        (
            {"nam": 1},
            "pet_args: pets.dog.Dog has no argument 'nam'; did you mean 'name'? (it takes name, legs, error)",
        ),
        ({1: 1}, "pet_args: pets.dog.Dog has no argument 1 (it takes name, legs, error)"),
        ({"legs": 2}, "pet_args: pets.dog.Dog needs name (it takes name, legs, error)"),
        ({"name": 1, "error": "value"}, "pet_args: pets.dog.Dog: bad dog"),
        ({"name": 1, "error": "type"}, "pet_args: pets.dog.Dog: bad dog"),
        ({"name": 1, "error": "own"}, "bad dog"),
    ],
)
def test_wrong_arguments_are_one_line(package, kwargs, line):
    assert line_of(build, "pets.dog.Dog", kwargs, "pet_args") == line


def test_errors_of_the_disk_pass(package):
    with pytest.raises(OSError, match="bad dog"):
        build("pets.dog.Dog", {"name": 1, "error": "os"}, "pet_args")


def test_a_class_with_kwargs_takes_any_name_but_only_names():
    class Open:
        def __init__(self, a, **kwargs): ...

    check_arguments(Open, {"a": 1, "anything": 2}, "args")
    assert "needs a" in line_of(check_arguments, Open, {"anything": 2}, "args")
    assert "no argument 1" in line_of(check_arguments, Open, {"a": 1, 1: 2}, "args")


def test_plumbing_without_torch_imports_no_torch():
    code = "import sys, torchlight.arguments, torchlight.workdir, torchlight.metrics; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "matplotlib", "tqdm"} & set(done.stdout.split())

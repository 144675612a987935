"""The front door: processors, help without torch, and the table of options that users' commands and configs rely on."""

import subprocess
import sys
from pathlib import Path

import pytest

from feeder.dataset import DatasetInfo
from feeder.preprocess import Preprocess
from feeder.skeleton import load_skeleton
from main import PROCESSORS, main
from net.graph import Graph
from processor import options
from processor.recognition import share_feeder_args
from processor.training.experiment import complete_model_args
from torchlight.arguments import parse
from torchlight.classes import check_arguments, import_class
from torchlight.config import load_config

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("argv, words", [([], "recognition"), (["recogniton"], "did you mean 'recognition'")])
def test_without_a_processor_they_are_listed(argv, words, capsys):
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert words in error and all(name in error for name in PROCESSORS)


@pytest.mark.parametrize("argv", [["-h"], *[[name, "-h"] for name in PROCESSORS]])
def test_help_answers_at_once_without_torch_or_opencv(argv):
    script = (
        "import sys, time; begin = time.process_time(); sys.argv = ['main.py'] + sys.argv[1:]\n"
        "import main, contextlib\n"
        "with contextlib.suppress(SystemExit): main.main(sys.argv[1:])\n"
        "print(time.process_time() - begin, 'torch' in sys.modules, 'cv2' in sys.modules)"
    )
    answers = []
    for _ in range(3):
        out = subprocess.run(
            [sys.executable, "-c", script, *argv], capture_output=True, text=True, cwd=ROOT, check=True
        ).stdout
        assert "usage: " in out
        seconds, torch, cv2 = out.splitlines()[-1].split()
        assert (torch, cv2) == ("False", "False")
        answers.append(float(seconds))
    assert min(answers) < 0.5


def test_options_and_defaults_of_the_original():
    arg = vars(parse(options.recognition(), []))
    assert {
        "work_dir": "./work_dir/tmp",
        "config": None,
        "phase": "train",
        "save_result": False,
        "start_epoch": 0,
        "num_epoch": 80,
        "use_gpu": True,
        "device": [0],
        "log_interval": 100,
        "save_interval": 10,
        "eval_interval": 5,
        "save_log": True,
        "print_log": True,
        "pavi_log": False,
        "train_feeder_args": {},
        "test_feeder_args": {},
        "batch_size": 256,
        "test_batch_size": 256,
        "debug": False,
        "model": None,
        "model_args": {},
        "weights": None,
        "ignore_weights": [],
        "show_topk": [1, 5],
        "base_lr": 0.01,
        "step": [],
        "optimizer": "SGD",
        "nesterov": True,
        "weight_decay": 0.0001,
    }.items() <= arg.items()
    short = parse(options.recognition(), ["-w", "there", "--step", "1", "2", "--nesterov", "no"])
    assert (short.work_dir, short.step, short.nesterov) == ("there", [1, 2], False)


BASES = "recipe", "config"  # the folders of configs that others begin from
RUNS = [path for path in sorted(ROOT.glob("config/**/*.yaml")) if path.parent.name not in BASES]
CHOSEN = {"normalize_axes": False, "window_size": 32, "mirror": True, "random_rotate": 0.3}  # in place of auto
INFO = DatasetInfo("openpose", 2, 30.0, ("run", "jump"))  # as if the data were packed


@pytest.mark.parametrize("path", RUNS, ids=lambda path: str(path.relative_to(ROOT / "config")))
def test_every_config_names_what_exists(path):
    of_demo = path.name.startswith("demo_")
    arg = parse(options.demo() if of_demo else options.recognition(), ["-c", str(path)])
    if not of_demo:
        share_feeder_args(arg)
        says_itself = "graph_args" not in arg.model_args or arg.model_args["graph_args"].get("layout")
        arg.label_names = arg.label_names if arg.label_names and Path(arg.label_names).exists() else None
        complete_model_args(arg, DatasetInfo() if says_itself else INFO, channels=3, persons=1, classes=2)
    check_arguments(import_class(arg.model), arg.model_args, "model_args")
    check_arguments(Graph, arg.model_args.get("graph_args", {}), "graph_args")
    for args in () if of_demo else (arg.train_feeder_args, arg.test_feeder_args):
        if args:
            check_arguments(import_class(arg.feeder), args, "feeder_args")
            steps = {
                key: CHOSEN[key] if value == "auto" else value
                for key, value in args.items()
                if key not in ("data_path", "label_path", "layout", "dimension")
            }
            skeleton = load_skeleton(args.get("layout", "ntu-rgb+d"))
            Preprocess.from_config(
                steps,
                skeleton,
                args.get(
                    "dimension",
                    3
                    if set(path.parts)
                    & {"nw-ucla", "sbu", "utd-mhad", "ntu-xsub", "ntu-xview", "ntu120-xsub", "ntu120-xset"}
                    else 2,
                ),
            )
            assert Path(args["data_path"]).name.endswith("_data.npy")
    assert load_config(path)


@pytest.mark.parametrize(
    "path",
    sorted(ROOT.glob("config/**/test.yaml")),
    ids=lambda path: str(path.relative_to(ROOT / "config")),
)
def test_a_test_config_is_for_published_weights(path):
    """Any other test takes the last epoch of its training, with --phase test."""
    weights = Path(load_config(path)["weights"])
    assert weights.parent == Path("models")
    assert weights.name in (ROOT / "resource/reference_model.txt").read_text().split()

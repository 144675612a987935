"""The command line of every processor, without torch, so that -h and a wrong option answer at once.

An option's name is also its key in a YAML config. Command line > config file > the defaults here.
"""

from __future__ import annotations

import argparse

from torchlight.arguments import DictAction, Parser, number, or_word, str2bool
from torchlight.project import ROOT
from torchlight.shard import shard

STARTER = str(ROOT / "resource" / "models" / "starter.pt")
DEMOS = ROOT / "config" / "st_gcn" / "kinetics-skeleton"
FORMER = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}  # an option by its former name
POSITIVE, NATURAL, NOT_NEGATIVE = number(int, 1), number(int, 0), number(float, 0)
POSITIVE_OR_AUTO = or_word(POSITIVE, "auto")


def recognition() -> Parser:
    """`python main.py recognition`: the original's options (its defaults too), then those it did not have."""
    parser = Parser(
        prog="main.py recognition",
        description="Train or test a network. Every option is also a key of the YAML config; the command line wins.",
    )
    group = parser.add_argument_group("run")
    group.add_argument("-c", "--config", metavar="YAML", help="configuration file")
    group.add_argument(
        "--from",
        dest="from_manifest",
        metavar="JSON",
        help="a manifest.json: repeat the run it is of, into <its work_dir>-repeated, and say what differs",
    )
    group.add_argument("-w", "--work_dir", default="./work_dir/tmp", metavar="DIR", help="where all results go")
    group.add_argument(
        "--phase", default="train", choices=["train", "test"], help="train, or test the last epoch or --weights"
    )
    group.add_argument("--resume", action="store_true", help="go on from work_dir/checkpoint.pt")
    group.add_argument(
        "--seed", type=NATURAL, default=0, help="of all randomness; equal seeds, equal curves on one CPU"
    )
    group.add_argument(
        "--repeat", type=POSITIVE, default=1, metavar="N", help="N runs with seeds from --seed on, and their mean"
    )
    group.add_argument(
        "--fold", type=int, nargs="+", default=[], metavar="K", help="a run for each; fills {fold} in paths"
    )
    group.add_argument("--debug", action="store_true", help="100 clips, spread over all classes")

    group = parser.add_argument_group("devices")
    group.add_argument("--use_gpu", type=str2bool, default=True, metavar="BOOL", help="use CUDA where there is one")
    group.add_argument(
        "--device", type=int, nargs="+", default=[0], metavar="ID", help="GPUs; several share each batch"
    )
    group.add_argument(
        "--precision",
        default="fp32",
        choices=["fp32", "bf16", "fp16", "auto"],
        help="auto: bf16 where the chip is fast at it",
    )
    group.add_argument("--compile", action="store_true", help="torch.compile the network for training")
    group.add_argument("--sync_bn", action="store_true", help="batch norm over all processes of a torchrun (GPUs)")
    group.add_argument(
        "--num_worker", type=NATURAL, metavar="N", help="data loader processes; default: as the cores allow"
    )

    group = parser.add_argument_group("data")
    group.add_argument(
        "--feeder", default="feeder.feeder.Feeder", metavar="CLASS", help="dotted name of the feeder class"
    )
    group.add_argument("--feeder_args", action=DictAction, help="its arguments, for training and testing")
    group.add_argument("--train_feeder_args", action=DictAction, help="its arguments for training alone")
    group.add_argument("--test_feeder_args", action=DictAction, help="its arguments for testing alone")
    group.add_argument(
        "--stream", nargs="+", metavar="NAME",
        help="joint, bone, joint_motion, bone_motion, or joint+bone; several: a network for each, and the mean of their scores",
    )  # fmt: skip
    group.add_argument("--batch_size", type=POSITIVE_OR_AUTO, default=256, metavar="N", help="training batch")
    group.add_argument(
        "--repeat_clips", type=POSITIVE, default=1, metavar="N", help="train on each clip N times an epoch"
    )
    group.add_argument("--test_batch_size", type=POSITIVE, default=256, metavar="N", help="test batch")
    group.add_argument("--label_names", metavar="TXT", help="class names, one a line")

    group = parser.add_argument_group("network")
    group.add_argument("--model", metavar="CLASS", help="dotted name of the network class, e.g. net.st_gcn.Model")
    group.add_argument("--model_args", action=DictAction, help="its arguments")
    group.add_argument(
        "--weights",
        metavar="FILE",
        help="weights to start from, or to test; default in a test: the last epoch in work_dir",
    )
    group.add_argument(
        "--ignore_weights", nargs="+", default=[], metavar="PREFIX", help="weights to leave as initialised, e.g. fcn"
    )

    group = parser.add_argument_group("optimisation")
    group.add_argument(
        "--num_epoch",
        type=POSITIVE_OR_AUTO,
        default=80,
        metavar="N",
        help="stop training in this epoch; auto: by the number of clips",
    )
    group.add_argument(
        "--start_epoch", type=NATURAL, default=0, metavar="N", help="number of the first epoch (see also --resume)"
    )
    group.add_argument(
        "--tune",
        action="store_true",
        help="before: try mirror, rotation, window and epochs by folds of the training clips",
    )
    group.add_argument("--optimizer", default="SGD", choices=["SGD", "Adam", "AdamW"], help="SGD has momentum 0.9")
    group.add_argument(
        "--base_lr", type=NOT_NEGATIVE, default=0.01, metavar="LR", help="learning rate before the schedule"
    )
    group.add_argument(
        "--lr_schedule", default="step", choices=["step", "cosine"], help="of the learning rate over the epochs"
    )
    group.add_argument(
        "--step", type=NATURAL, nargs="+", default=[], metavar="EPOCH", help="epochs that divide the rate by ten"
    )
    group.add_argument("--warm_up_epoch", type=NOT_NEGATIVE, default=0, metavar="N", help="epochs of linear warm-up")
    group.add_argument("--nesterov", type=str2bool, default=True, metavar="BOOL", help="for SGD")
    group.add_argument("--weight_decay", type=NOT_NEGATIVE, default=0.0001, metavar="W", help="AdamW: decoupled")
    group.add_argument(
        "--accumulate", type=POSITIVE, default=1, metavar="N", help="batches whose gradients make one update"
    )
    group.add_argument(
        "--scale_lr", type=POSITIVE, metavar="B", help="base_lr is meant for batches of B: scale it to the real one"
    )
    group.add_argument(
        "--label_smoothing", type=number(float, 0, 1), default=0.0, metavar="S", help="of the cross entropy"
    )
    group.add_argument(
        "--grad_clip", type=NOT_NEGATIVE, default=0.0, metavar="NORM", help="largest norm of the gradient; 0: any"
    )

    group = parser.add_argument_group("reports")
    group.add_argument(
        "--log_interval", type=POSITIVE, default=100, metavar="N", help="iterations between two log lines"
    )
    group.add_argument(
        "--save_interval", type=POSITIVE, default=10, metavar="N", help="epochs between two saved weights"
    )
    group.add_argument("--eval_interval", type=POSITIVE, default=5, metavar="N", help="epochs between two evaluations")
    group.add_argument("--show_topk", type=POSITIVE, nargs="+", default=[1, 5], metavar="K", help="accuracies to print")
    group.add_argument("--save_result", type=str2bool, default=False, metavar="BOOL", help="write test_result.pkl")
    group.add_argument("--report", type=str2bool, default=True, metavar="BOOL", help="write report.html")
    group.add_argument("--save_log", type=str2bool, default=True, metavar="BOOL", help="write log.txt")
    group.add_argument("--print_log", type=str2bool, default=True, metavar="BOOL", help="print the log")
    group.add_argument("--tensorboard", action="store_true", help="write TensorBoard events to work_dir/tensorboard")
    group.add_argument(
        "--pavi_log", type=str2bool, default=False, help=argparse.SUPPRESS
    )  # of the original; does nothing
    return parser


BENCHMARKED = ("config", "seed", "use_gpu", "device", "compile", "model", "model_args")  # of recognition


def benchmark() -> Parser:
    """`python main.py benchmark`: any config of recognition, and how to measure."""
    parser = recognition()
    parser.prog = "main.py benchmark"
    for action in parser._actions:  # any option of recognition is taken, so that any of its configs is
        if action.dest not in ("help", "traceback", *BENCHMARKED):
            action.help = argparse.SUPPRESS
    parser.description = (
        "Measure a network on this machine: ours against the plain formulation, feeder, memory, ceiling."
    )
    group = parser.add_argument_group("benchmark")
    group.add_argument("--batch", type=POSITIVE, default=8, metavar="N", help="clips that are run at once")
    group.add_argument(
        "--frames", type=POSITIVE, metavar="T", help="frames of a clip; default: as in the config, or 300"
    )
    group.add_argument(
        "--persons", type=POSITIVE, metavar="M", help="persons of a clip; default: as in the config's data, or 2"
    )
    group.add_argument("--rounds", type=POSITIVE, default=5, metavar="N", help="turns whose median is reported")
    group.add_argument(
        "--streaming", action="store_true", help="what a prediction costs, by windows and frame by frame"
    )
    group.add_argument(
        "--beside", nargs="+", default=[], metavar="YAML", help="configs: inference of their networks too, turn by turn"
    )
    group.add_argument("--json", action="store_true", help="print the report as JSON")
    group.add_argument("--output", metavar="FILE", help="write the report as JSON to this file too")
    return parser


def ensemble() -> Parser:
    """`python main.py ensemble`: the scores that tests have saved, and how to weigh them."""
    parser = Parser(
        prog="main.py ensemble",
        description="Fuse the saved scores of several networks: the weighted mean of their probabilities, by clip name.",
    )
    parser.add_argument("-c", "--config", metavar="YAML", help="configuration file")
    parser.add_argument("-w", "--work_dir", default="./work_dir/ensemble", metavar="DIR", help="where all results go")
    parser.add_argument("--results", nargs="+", default=[], metavar="PKL", help="test_result.pkl of every stream")
    parser.add_argument(
        "--stream_weights", type=float, nargs="+", default=[], metavar="W", help="one for each result; default: equal"
    )
    parser.add_argument("--weights", dest="stream_weights", **FORMER, type=float, nargs="+")
    parser.add_argument("--fold", type=int, nargs="+", default=[], metavar="K", help="a fusion for each; fills {fold}")
    parser.add_argument("--seed", type=NATURAL, default=0, help="the first one that fills {seed}")
    parser.add_argument("--repeat", type=POSITIVE, default=1, metavar="N", help="N fusions with seeds from --seed on")
    parser.add_argument("--labels", metavar="PKL", help="..._label.pkl; default: as in the config beside the results")
    parser.add_argument("--label_names", metavar="TXT", help="class names, one a line; default: as with --labels")
    group = parser.add_argument_group("search")
    group.add_argument("--search", action="store_true", help="look for the weights among 0, 1, 2, 3 on --search_on")
    group.add_argument(
        "--search_on", nargs="+", default=[], metavar="PKL", help="the same streams on clips held out of the training"
    )
    group.add_argument(
        "--search_labels", metavar="PKL", help="their ..._label.pkl; default: as in the config beside them"
    )
    return parser


def calibrate() -> Parser:
    """`python main.py calibrate`: a network, clips it was not trained on, and the demo's windows."""
    parser = Parser(
        prog="main.py calibrate",
        description="Accuracy on windows of clips, as in the demo; with --save: temperature and threshold for unknown.",
    )
    parser.add_argument("-c", "--config", metavar="YAML", help="configuration file")
    parser.add_argument("--weights", required=True, metavar="FILE", help="weights with their .yaml beside them")
    parser.add_argument(
        "--data_path", required=True, metavar="FILE", help="clips that were not trained on, .npy or .h5"
    )
    parser.add_argument("--label_path", metavar="PKL", help="their labels; of a .npy")
    parser.add_argument(
        "--window", type=POSITIVE, metavar="T", help="frames of a window; default: that of the weights, or 64"
    )
    parser.add_argument("--stride", type=POSITIVE, default=16, metavar="N", help="frames from one to the next")
    parser.add_argument("--streaming", action="store_true", help="frame by frame, as the demo with --streaming")
    parser.add_argument(
        "--save",
        nargs="?",
        const="",
        metavar="FILE",
        help="write temperature and threshold beside the weights, or beside those of FILE, trained on all clips",
    )
    parser.add_argument(
        "--keep", type=number(float, 0, 1), default=0.98, metavar="P", help="share of right answers above the threshold"
    )
    parser.add_argument(
        "--fit_data_path", metavar="FILE", help="clips the weights were trained on: measure their features, for unknown"
    )
    parser.add_argument("--fit_label_path", metavar="PKL", help="their labels; of a .npy")
    parser.add_argument("--per_class", action="store_true", help="a line for each class")
    parser.add_argument("--seed", type=NATURAL, default=0, help="of the simulated detections")
    parser.add_argument("--use_gpu", type=str2bool, default=True, metavar="BOOL", help="use CUDA where there is one")
    parser.add_argument(
        "--precision", default="fp32", choices=["fp32", "bf16", "auto"], help="auto: bf16 where the chip is fast at it"
    )
    return parser


def export() -> Parser:
    """`python main.py export`: which network, as what, and the clips that it is calibrated on and measured with."""
    parser = Parser(
        prog="main.py export",
        description="A trained network as one file for onnxruntime or torch.export, with its side-car inside.",
    )
    parser.add_argument("-c", "--config", metavar="YAML", help="configuration file")
    parser.add_argument("--weights", default=STARTER, metavar="FILE", help="default: the starter model")
    parser.add_argument("--format", default="onnx", choices=["onnx", "torch_export"], help="kind of file")
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=["float32", "bfloat16", "float16", "int8"],
        help="of the weights and, where the machine can, of the arithmetic; int8 needs --data_path",
    )
    parser.add_argument("--output", metavar="FILE", help="default: ./work_dir/export/<weights>.onnx or .pt2")
    parser.add_argument(
        "--data_path", metavar="NPY", help="clips of the training, their _label.pkl beside them: to calibrate and check"
    )
    parser.add_argument(
        "--test_path", metavar="NPY", help="clips of a test, likewise: accuracy, size and speed of the file and of ours"
    )
    return parser


def demo() -> Parser:
    """`python main.py demo`: which videos, which pose estimator, which network, where the result goes."""
    return _demo("main.py demo", config=None, weights=STARTER, openpose=None)


def demo_offline() -> Parser:
    """The original's demo_offline: the same demo with its network for Kinetics."""
    return _demo("main.py demo_offline", str(DEMOS / "demo_offline.yaml"), None, None)


def demo_old() -> Parser:
    """The original's demo_old: the same with OpenPose's own program."""
    return _demo("main.py demo_old", str(DEMOS / "demo_old.yaml"), None, "3dparty/openpose/build")


def _demo(prog: str, config: str | None, weights: str | None, openpose: str | None) -> Parser:
    parser = Parser(
        prog=prog,
        description="Recognise the actions in a video: a picture with skeletons and answers (.mp4), and tables (.json, .csv).",
    )
    parser.add_argument("-c", "--config", default=config, metavar="YAML", help="configuration file")
    parser.add_argument("-w", "--work_dir", help=argparse.SUPPRESS)  # of the original; see --output_dir
    group = parser.add_argument_group("video")
    group.add_argument(
        "--video", metavar="WHAT", help="file, folder, number of a camera, or rtsp://...; default: the sample"
    )
    group.add_argument("--output_dir", default="./data/demo_result", metavar="DIR", help="where the results go")
    group.add_argument(
        "--height", type=number(int, 64, 4320), default=1080, metavar="PX", help="of the video that is written"
    )
    group.add_argument("--shard", type=shard, metavar="K/N", help="of a folder the K-th of N parts, for a job array")
    group.add_argument("--skip_done", action="store_true", help="skip videos whose whole result is there and is newer")
    group.add_argument("--show", action="store_true", help="a window with the picture too, as live; q ends it")
    group.add_argument("--only_recognised", action="store_true", help="draw and list only persons who are recognised")
    group.add_argument("--only-recognised", action="store_true", help=argparse.SUPPRESS, dest="only_recognised")
    group.add_argument(
        "--max_persons",
        type=POSITIVE,
        metavar="N",
        help="only the N largest and surest persons of a frame; default: all",
    )
    group.add_argument(
        "--json", action="store_true", help="the result as JSON on stdout, a line a video; the rest on stderr"
    )

    group = parser.add_argument_group("pose")
    group.add_argument(
        "--pose", default="movenet", choices=["movenet", "blazepose", "openpose", "json"], help="who finds the joints"
    )
    group.add_argument(
        "--openpose",
        default=openpose,
        metavar="DIR",
        help="OpenPose's build folder: its program; with --pose openpose, its Python module",
    )
    group.add_argument("--openpose_model", default="COCO", choices=["COCO", "BODY_25"], help="what it looks for")
    group.add_argument(
        "--keypoints", metavar="DIR", help="OpenPose's JSON files, or one of Kinetics-skeleton: joints found before"
    )

    group = parser.add_argument_group("network")
    group.add_argument("--weights", default=weights, metavar="FILE", help="default: the starter model, 40 actions")
    group.add_argument("--label_names", metavar="TXT", help="class names, one a line; default: those of the weights")
    group.add_argument("--model", metavar="CLASS", help="dotted name of the network; default: that of the weights")
    group.add_argument("--model_args", action=DictAction, help="its arguments")
    group.add_argument("--feeder_args", action=DictAction, help="how windows are made ready, as test_feeder_args")
    group.add_argument(
        "--window", type=number(int, 8), metavar="T", help="frames of a window; default: those of the weights, or 64"
    )
    group.add_argument("--stride", type=POSITIVE, default=16, metavar="N", help="frames from one window to the next")
    group.add_argument(
        "--streaming",
        action="store_true",
        help="feed an ST-GCN frame by frame, each frame once: predictions cost less, and come later",
    )
    group.add_argument(
        "--vote",
        default="segments",
        choices=["segments", "mean"],
        help="the video's label: the one recognised longest, or that of the mean of the windows, as of old",
    )
    group.add_argument(
        "--model_fps",
        type=number(float, 1),
        metavar="FPS",
        help="rate of the network; default: that of the weights, or 30",
    )
    group.add_argument("--model_input_frame", type=POSITIVE, help=argparse.SUPPRESS)  # of the original; see --window

    group = parser.add_argument_group("devices")
    group.add_argument("--use_gpu", type=str2bool, default=True, metavar="BOOL", help="use CUDA where there is one")
    group.add_argument("--device", type=int, nargs="+", default=[0], metavar="ID", help="GPU of the network")
    group.add_argument(
        "--precision", default="fp32", choices=["fp32", "bf16", "auto"], help="auto: bf16 where the chip is fast at it"
    )
    for option in ("--print_log", "--save_log"):  # of the original, as the next one
        group.add_argument(option, type=str2bool, default=False, help=argparse.SUPPRESS)
    group.add_argument("--ignore_weights", nargs="+", default=[], help=argparse.SUPPRESS)
    group.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)  # the former name of --traceback
    return parser


def compare() -> Parser:
    """`python main.py compare`: the runs, which of them is the baseline, and where the report goes."""
    parser = Parser(
        prog="main.py compare",
        description="Is one training better than another, or is it the spread? Accuracies with 95 % intervals, tests, "
        "and what changed.",
        epilog=None,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="work folder of a test, or a folder with seed0, seed1, ... or fold1, ... in it",
    )
    parser.add_argument(
        "--baseline", type=POSITIVE, default=1, metavar="K", help="the others are held against the K-th run"
    )
    parser.add_argument("--seed", type=NATURAL, default=0, help="of the bootstrap; equal seeds, equal intervals")
    parser.add_argument(
        "--labels", metavar="PKL", help="..._label.pkl of runs without clips.csv; default: as in the config in them"
    )
    parser.add_argument("--label_names", metavar="TXT", help="class names, one a line; default: as with --labels")
    parser.add_argument("--json", metavar="FILE", help="write all that was found as JSON")
    parser.add_argument(
        "--html",
        nargs="?",
        const="./work_dir/compare.html",
        metavar="FILE",
        help="write a page, with the clips that changed; without FILE: ./work_dir/compare.html",
    )
    return parser


def inspect() -> Parser:
    """`python main.py inspect`: any config of recognition, or the files of one part."""
    parser = recognition()
    parser.prog = "main.py inspect"
    parser.description = "Look at a data set: what is there, and what is wrong. Both parts of a config, or one part."
    for action in parser._actions:  # any option of recognition is taken, so that any of its configs is
        if action.dest not in (
            "help",
            "traceback",
            "config",
            "work_dir",
            "label_names",
            "num_worker",
            "fold",
            "num_epoch",
        ):
            action.help = argparse.SUPPRESS
    told = {
        "work_dir": "where inspect.html and inspect.json go; default: work_dir/inspect/<folder of the data>",
        "num_worker": "processes that read; default: one a core",
        "fold": "which one of {fold} in the paths; default: the first",
        "num_epoch": "epochs of the networks of --labels",
    }
    for action in parser._actions:
        action.help = told.get(action.dest, action.help)
    parser.set_defaults(work_dir=None)
    group = parser.add_argument_group("inspect")
    group.add_argument("--data_path", metavar="FILE", help="the clips of one part, .npy or .h5, in place of a config")
    group.add_argument("--label_path", metavar="PKL", help="their labels; of a .npy")
    group.add_argument(
        "--layout", metavar="NAME", help="of the skeleton; default: that of the config or of dataset.yaml"
    )
    group.add_argument(
        "--dimension", type=int, choices=[2, 3], help="2: x, y, score; 3: x, y, z; default: as the layout's"
    )
    group = parser.add_argument_group("suspicious labels")
    group.add_argument("--labels", action="store_true", help="look for labels that are probably wrong: trains networks")
    group.add_argument(
        "--folds",
        type=number(int, 2),
        metavar="K",
        help="networks, each trained without its fold; default: 5, or one a session where there are fewer",
    )
    group.add_argument(
        "--results",
        nargs="+",
        default=[],
        metavar="PKL",
        help="test_result.pkl of networks that have not seen these clips: none is trained",
    )
    return parser

"""How fast this machine runs a network: ours against the plain formulation, in one process, turn by turn.

    python main.py benchmark                                        ST-GCN as published, 400 classes, clips of 300 frames
    python main.py benchmark -c config/st_gcn/penn-action/train.yaml
    python main.py benchmark --json > benchmark.json
    python main.py benchmark --streaming                            what a prediction costs, by windows and frame by frame
    python main.py benchmark -c A.yaml --beside B.yaml C.yaml       inference of several networks, turn by turn

The plain formulation is that of tests/net/plain.py: (B, C, T, V) in ordinary memory order, projection before the graph
product, nothing folded, eager, float32. Every figure is the median of `--rounds` turns; in a turn each contestant runs
once, so that all of them meet the same noise.
"""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from feeder.dataset import DatasetInfo, read_info
from feeder.feeder import Feeder
from feeder.packed_writer import write_packed
from feeder.sequence import SkeletonSequence
from feeder.skeleton import load_skeleton
from processor import options, protocols
from processor.network_speed import Contestant, network_speed, speed_table
from processor.prediction_cost import prediction_cost, prediction_table
from processor.protocols import build_feeder, build_network, inference_form, labels_of
from processor.recognition import share_feeder_args
from processor.timing import alternate, flops
from processor.training.automatic import settle
from processor.training.experiment import complete_model_args
from processor.training.series import first_run
from torchlight import device, machine
from torchlight.arguments import parse
from torchlight.errors import UsageError
from torchlight.files import atomic_write
from torchlight.manifest import processor

DEFAULT_MODEL = "net.st_gcn.Model"
DEFAULT_ARGS = {"in_channels": 3, "num_class": 400, "graph_args": {"layout": "openpose", "strategy": "spatial"}}


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `benchmark`: see options.benchmark for arg."""
    arg = prepared(arg)
    devices = device.select(arg.device, arg.use_gpu)
    torch.manual_seed(arg.seed)
    bench = Benchmark(arg, devices)
    report = {"machine": describe_machine(devices), "network": bench.network_facts()}
    if arg.streaming:
        report["prediction"] = prediction_cost(
            bench.network, arg.model, bench.clip, bench.dtypes, devices.main, arg.rounds
        )
    elif arg.beside:
        report["networks"] = network_speed(side_by_side(bench), arg.batch, bench.dtypes, devices.main, arg.rounds)
    else:
        measure(bench, report)
    if arg.json:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(heading(report) + lines_of(report)))
    if arg.output:
        with atomic_write(arg.output, "w") as file:
            json.dump(report, file, indent=2)


def prepared(arg: Namespace) -> Namespace:
    """The options of a config's first fold, with what it leaves out filled in from the data."""
    arg = first_run(arg)
    if arg.model is None:
        arg.model, arg.model_args = DEFAULT_MODEL, {**DEFAULT_ARGS, **arg.model_args}
    share_feeder_args(arg)
    settle(arg)
    data_path = arg.test_feeder_args.get("data_path")
    info = read_info(data_path) if data_path else None
    feeder = test_feeder(arg)
    C, _, _, M = feeder[0][0].shape[-4:] if feeder else (3, None, None, 2)
    classes = int(max(labels_of(feeder), default=-1)) + 1 if feeder else None
    complete_model_args(arg, info or DatasetInfo(), C, arg.persons or M, classes)
    return arg


def side_by_side(bench: Benchmark) -> list[Contestant]:
    """The network of the command line, and those of --beside with clips of the same length where it is given."""
    found = [Contestant(bench.arg.config or bench.arg.model, bench.network, bench.clip)]
    for path in bench.arg.beside:
        arg = parse(options.benchmark(), ["-c", path])
        arg.frames, arg.persons = bench.arg.frames, bench.arg.persons
        arg = prepared(arg)
        found.append(Contestant(path, build_network(arg.model, arg.model_args).to(bench.main), clip_shape(arg)))
    return found


def measure(bench: Benchmark, report: dict) -> None:
    """Everything but the cost of a prediction."""
    arg, devices = bench.arg, bench.devices
    report["ceiling"] = {
        name: round(ceiling(dtype, devices.main, arg.rounds), 1) for name, dtype in bench.dtypes.items()
    }
    report["inference"] = bench.inference()
    report["latency"] = bench.inference(batch=1)
    report["training"] = bench.training()
    report["feeder"] = feeder_speed(arg.rounds)
    report["peak_memory_mib"] = peak_memory(devices.main)
    for kind in ("inference", "training"):
        for row in report[kind]:
            top = report["ceiling"].get(row["precision"])
            row["of_ceiling"] = round(row["gflops"] / top, 3) if top else None


def describe_machine(devices: device.Devices) -> dict[str, object]:
    """What the figures are of."""
    name = torch.cuda.get_device_name(devices.main) if devices.main.type == "cuda" else processor()
    return {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__, "note": devices.note}


def peak_memory(main: torch.device) -> int:
    """MiB: of the GPU where there is one, else of this process."""
    if main.type == "cuda":
        return torch.cuda.max_memory_allocated(main) >> 20
    return machine.peak_memory()


class Benchmark:
    """The network in its plain form and in ours, and clips to run through them."""

    def __init__(self, arg: Namespace, devices: device.Devices):
        self.arg, self.devices, self.main = arg, devices, devices.main
        self.network = build_network(arg.model, arg.model_args).to(self.main)
        self.plain = plain_twin(arg, self.network)
        self.clip = clip_shape(arg)
        fast = device.precision("auto", self.main).dtype
        self.dtypes = (
            {"fp32": torch.float32, "bf16": torch.bfloat16} if fast == torch.bfloat16 else {"fp32": torch.float32}
        )

    def clips(self, batch: int, frames: int | None = None) -> torch.Tensor:
        C, T, V, M = self.clip
        return torch.randn(batch, C, frames or T, V, M, device=self.main)

    def network_facts(self) -> dict[str, object]:
        """Size of the network and its work for one clip (a multiply-add is two operations)."""
        x = self.clips(1)
        self.flop = flops(lambda: self.network.eval()(x))
        return {
            "model": self.arg.model,
            "parameters": sum(p.numel() for p in self.network.parameters()),
            "flop_per_clip": self.flop,
            "clip": self.clip,
        }

    def inference(self, batch: int | None = None) -> list[dict[str, object]]:
        """Forward passes: the plain network, and the fused form in every precision."""
        x = self.clips(batch or self.arg.batch)
        contestants: dict[tuple[str, str], Callable[[], object]] = {}
        if self.plain is not None:
            plain = self.plain.eval()
            contestants["plain", "fp32"] = lambda: plain(x)
        for name, dtype in self.dtypes.items():
            fused, _ = inference_form(self.network, dtype)
            contestants["ours", name] = lambda fused=fused: fused(x)
        with torch.no_grad():
            return self.rows(contestants, len(x), self.flop, "inference" if batch is None else "latency")

    def training(self) -> list[dict[str, object]]:
        """Forward, backward and SGD step, on half as many frames (as the Kinetics recipe crops them)."""
        x = self.clips(self.arg.batch, max(1, self.clip[1] // 2))
        label = torch.randint(self.arg.model_args["num_class"], (len(x),), device=self.main)
        contestants = {}
        if self.plain is not None:
            contestants["plain", "fp32"] = self.step(self.plain.train(), x, label, "fp32")
        for name in self.dtypes:
            contestants["ours", name] = self.step(self.network.train(), x, label, name)
        if self.arg.compile:
            compiled = torch.compile(self.network)
            for name in self.dtypes:
                contestants["compiled", name] = self.step(compiled, x, label, name)
        return self.rows(contestants, len(x), 3 * self.flop / 2, "training")

    def step(self, model: torch.nn.Module, x: torch.Tensor, label: torch.Tensor, precision: str) -> Callable[[], None]:
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        autocast = device.precision(precision, self.main).autocast

        def once() -> None:
            with autocast():
                loss = F.cross_entropy(model(x).float(), label)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return once

    def rows(self, contestants: dict, batch: int, flop: float, what: str) -> list[dict[str, object]]:
        """A row for each contestant; `ratio` is to the plain formulation."""
        seconds = alternate(contestants, self.arg.rounds, self.main, what)
        plain = seconds.get(("plain", "fp32"))
        return [
            {
                "form": form,
                "precision": precision,
                "batch": batch,
                "milliseconds": round(1e3 * s, 2),
                "samples_per_second": round(batch / s, 2),
                "gflops": round(batch * flop / s / 1e9, 1),
                "ratio": round(plain / s, 2) if plain else None,
            }
            for (form, precision), s in seconds.items()
        ]


def clip_shape(arg: Namespace) -> tuple[int, int, int, int]:
    """(C, T, V, M) of the clips: what is asked for, else that of the config's data, else 300 frames of two persons."""
    feeder, layout = test_feeder(arg), arg.model_args.get("graph_args", {}).get("layout")
    if feeder is None and layout is None:
        raise UsageError(f"{arg.model} has no layout to know its clips by, and test_feeder_args: data_path is no file")
    frames = arg.test_feeder_args.get("window_size", -1)
    if feeder:
        C, T, V, M = feeder[0][0].shape[-4:]  # of several clips of one sample, those of one
    else:
        C, T, M = arg.model_args.get("in_channels", 3), frames if frames > 0 else 300, 2
        V = load_skeleton(layout).num_joint
    return C, arg.frames or T, V, arg.persons or M


def test_feeder(arg: Namespace) -> protocols.Feeder | None:
    """The test clips as the config prepares them; None where its data are not there."""
    args = arg.test_feeder_args | ({"stream": arg.stream} if arg.stream else {})
    if not Path(args.get("data_path", "")).is_file():
        return None
    return build_feeder(arg.feeder, args, "test_feeder_args")


def plain_twin(arg: Namespace, network: torch.nn.Module) -> torch.nn.Module | None:
    """The plain formulation with the same weights, for the networks that have one."""
    if arg.model != DEFAULT_MODEL:
        return None
    try:
        from tests.net.plain import PlainSTGCN
    except ImportError:  # tests/ was left out of this copy
        return None
    args = {key: value for key, value in arg.model_args.items() if key != "graph_args"}
    plain = PlainSTGCN(A=network.A, **args).to(network.A.device)
    plain.load_state_dict(network.state_dict())
    return plain


def ceiling(dtype: torch.dtype, main: torch.device, rounds: int, size: int = 2048) -> float:
    """GFLOP/s of the chip's own matrix product, the better of the two ways torch has: a product and a 1x1 convolution."""
    a, b = torch.randn(size, size, device=main).to(dtype), torch.randn(size, size, device=main).to(dtype)
    picture, kernel = a.T.reshape(1, size, 1, size).to(memory_format=torch.channels_last), b[:, :, None, None]
    ways = {"product": lambda: a @ b, "convolution": lambda: F.conv2d(picture, kernel)}
    with torch.no_grad():
        return 2e-9 * size**3 / min(alternate(ways, max(rounds, 7), main, "ceiling").values())


def feeder_speed(rounds: int, num: int = 64) -> dict[str, object]:
    """Samples a second of the feeder on packed clips (3, 300, 18, 2), with random_choose and random_move, on one core."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        keypoints = (rng.random((2, 300, 18, 2), np.float32) - 0.5 for _ in range(num))
        scores = np.ones((2, 300, 18), np.float32)
        write_packed(
            folder, "x", (SkeletonSequence(f"{i}", 0, k, scores) for i, k in enumerate(keypoints)), num, 300, 2
        )
        feeder = Feeder(
            f"{folder}/x_data.npy", f"{folder}/x_label.pkl", random_choose=True, random_move=True, window_size=150
        )
        contestants = {"ours": lambda: feeder.get_batch(range(num))}
        try:
            from tests.feeder.plain import PlainFeeder

            plain = PlainFeeder(f"{folder}/x_data.npy", f"{folder}/x_label.pkl", window_size=150)
            contestants["plain"] = lambda: [plain[i] for i in range(num)]
        except ImportError:  # tests/ was left out of this copy
            pass
        seconds = alternate(contestants, rounds, torch.device("cpu"), "feeder")
    row = {"samples_per_second": round(num / seconds["ours"], 1)}
    return row | ({"ratio": round(seconds["plain"] / seconds["ours"], 1)} if "plain" in seconds else {})


def heading(report: dict) -> list[str]:
    facts, about = report["machine"], report["network"]
    C, T, V, M = about["clip"]
    return [
        f"{facts['device']}, {facts['threads']} threads, torch {facts['torch']}",
        f"{about['model']}: {about['parameters'] / 1e6:.2f} M parameters, {about['flop_per_clip'] / 1e9:.2f} GFLOP a clip "
        f"(C, T, V, M) = ({C}, {T}, {V}, {M})",
    ]


def lines_of(report: dict) -> list[str]:
    """What was measured, for a person."""
    if "prediction" in report:
        return prediction_table(report["prediction"])
    return speed_table(report["networks"]) if "networks" in report else table(report)


def table(report: dict) -> list[str]:
    """Everything but the cost of a prediction and other networks."""
    lines = [
        "matrix product of the chip: "
        + ", ".join(f"{gflops} GFLOP/s in {name}" for name, gflops in report["ceiling"].items()),
        "",
        f"{'':<12}{'form':<10}{'precision':<11}{'batch':>5}{'ms':>11}{'samples/s':>11}{'ratio':>8}{'of ceiling':>12}",
    ]
    for kind in ("inference", "latency", "training"):
        for row in report[kind]:
            ratio = f"{row['ratio']:.2f}" if row["ratio"] else ""
            share = f"{100 * row['of_ceiling']:.0f} %" if row.get("of_ceiling") else ""
            lines.append(
                f"{kind:<12}{row['form']:<10}{row['precision']:<11}{row['batch']:>5}{row['milliseconds']:>11.1f}"
                f"{row['samples_per_second']:>11.1f}{ratio:>8}{share:>12}"
            )
    feeder = report["feeder"]
    ratio = f", {feeder['ratio']} times the sample-by-sample algorithm" if "ratio" in feeder else ""
    lines += ["", f"feeder: {feeder['samples_per_second']:.0f} samples/s on one core{ratio}"]
    lines.append(f"peak memory: {report['peak_memory_mib']} MiB")
    return lines

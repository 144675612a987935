"""Train and test an action recognition network.

    python main.py recognition -c config/quickstart/train.yaml
    python main.py recognition -c config/quickstart/test.yaml --weights work_dir/.../best_model.pt

One file, top to bottom: what is asked for is built (`Recognition.__init__`), then trained or tested. The network comes from
net/, the clips from feeder/, everything that has never heard of skeletons from torchlight/.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from tqdm import tqdm

from net.graph import Graph
from torchlight import checkpoint, device, metrics, optim
from torchlight.arguments import UsageError, build, check_arguments
from torchlight.batches import Batches
from torchlight.distributed import start
from torchlight.workdir import Stopwatch, WorkDir, atomic

DATA_SETS = {  # the folder of a data set in the configs: how to make it
    "NTU-RGB-D": "python tools/ntu_gendata.py --data_path <nturgb+d_skeletons>",
    "Kinetics": "python tools/kinetics_gendata.py --data_path <kinetics-skeleton>",
    "penn-action": "python tools/gendata.py --format penn-action --data_path <Penn_Action>",
    "nw-ucla": "python tools/gendata.py --format nw-ucla --data_path <all_sqe>",
    "sbu": "python tools/gendata.py --format sbu --data_path <sbu_interaction>",
    "synthetic": "python tools/synthetic_gendata.py",
}


def run(arg: Namespace, argv: list[str]) -> None:
    """The processor `recognition`: see options.recognition for arg."""
    check_paths(arg)
    recognition = Recognition(arg, argv)
    if arg.phase == "train":
        recognition.train()
    else:
        recognition.test()


def check_paths(arg: Namespace) -> None:
    """Every file that will be read is there, before anything slow begins."""
    feeders = {"test_feeder_args": arg.test_feeder_args}
    if arg.phase == "train":
        feeders["train_feeder_args"] = arg.train_feeder_args
    paths = {
        f"{name}: {key}": path for name, args in feeders.items() for key, path in args.items() if key.endswith("_path")
    }
    paths |= {"weights": arg.weights, "label_names": arg.label_names}
    for key, path in paths.items():
        if path is not None and not Path(path).exists():
            recipe = next((recipe for folder, recipe in DATA_SETS.items() if folder in Path(path).parts), None)
            remedy = f"; make it with:\n       {recipe}" if recipe else ""
            remedy = "; get the published ones with: bash tools/get_models.sh" if key == "weights" else remedy
            raise UsageError(f"{key}: {Path(path).absolute()} does not exist{remedy}")


def read_label_names(path: str | None, num_class: int) -> list[str]:
    """Class names from a text file, one a line; the numbers of the classes where there is none."""
    if path is None:
        return [str(c) for c in range(num_class)]
    names = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(names) != num_class:
        raise UsageError(f"label_names: {path} has {len(names)} names, the network {num_class} classes")
    return names


class Recognition:
    """Everything a run needs, built and checked: work folder, devices, feeders, network; then train() or test()."""

    def __init__(self, arg: Namespace, argv: list[str]):
        self.arg = arg
        if arg.phase == "test" and not arg.weights:
            raise UsageError("the test phase needs --weights, the network to test")
        if arg.model is None:
            raise UsageError("no network: give --model net.st_gcn.Model, or a config with -c")
        if "graph_args" in arg.model_args:
            check_arguments(Graph, arg.model_args["graph_args"], "model_args: graph_args")
        self.world = start(arg.use_gpu)
        self.devices = device.select([self.world.local_rank] if self.world.size > 1 else arg.device, arg.use_gpu)
        self.precision = device.precision(arg.precision, self.devices.main)
        self.feeders = self.load_data()
        torch.manual_seed(arg.seed)
        self.network = build(arg.model, arg.model_args, "model_args")
        self.num_class = self.check_data()
        self.names = read_label_names(arg.label_names, self.num_class)
        lines, details = [], []  # for the log, which does not exist yet
        if arg.weights:
            checkpoint.load_weights(self.network, arg.weights, arg.ignore_weights, lines.append, details.append)

        training = arg.phase == "train"  # everything asked for is there and fits: from here on files are written
        chief = self.world.chief
        self.work_dir = WorkDir(arg.work_dir, print_log=arg.print_log and chief, save_log=arg.save_log and chief)
        self.log = self.work_dir.log
        if chief:
            self.work_dir.save_config(arg, argv, "config.yaml" if training else "config_test.yaml")
        self.log(f"Parameters:\n{vars(arg)}\n")
        if self.devices.note:
            lines.insert(0, self.devices.note)
        if arg.precision == "auto":
            lines.insert(0, f"Precision: {self.precision.name}")
        if self.world.size > 1:
            lines.append(f"{self.world.size} processes share each batch, over {self.precision.device}")
        for line in lines:
            self.log(line)
        for line in details:
            self.work_dir.note(line)

    # ---- data

    def load_data(self) -> dict[str, object]:
        """{"train": feeder, "test": feeder}: those this phase needs and the config has arguments for."""
        arg = self.arg
        wanted = {"train": arg.train_feeder_args} if arg.phase == "train" else {}
        if arg.test_feeder_args or arg.phase == "test":
            wanted["test"] = arg.test_feeder_args
        return {
            part: build(
                arg.feeder, args, f"{part}_feeder_args", **({"debug": True} if arg.debug else {}), seed=arg.seed
            )
            for part, args in wanted.items()
        }

    def check_data(self) -> int:
        """The network takes a clip of every part, labels fit it, the batch fits the data; the number of classes."""
        num_class = 0
        for part, feeder in self.feeders.items():
            if not len(feeder) or not len(getattr(feeder, "label", ())):
                raise UsageError(
                    f"{part}_feeder_args: {self.arg.feeder} has no clips, or no list `label` of their classes"
                )
            clip = torch.as_tensor(feeder[0][0])[None]
            try:
                with torch.no_grad():
                    num_class = self.network.eval()(clip if clip.dim() == 5 else clip.flatten(0, 1)).shape[1]
            except (RuntimeError, ValueError) as error:
                raise UsageError(
                    f"the network cannot take the {part} data, clips of shape (C, T, V, M) = {tuple(clip.shape[-4:])}: "
                    f"{str(error).splitlines()[0]}; look at in_channels, layout and window_size"
                ) from error
            low, high = min(feeder.label), max(feeder.label)
            if low < 0 or high >= num_class:
                raise UsageError(
                    f"{part}_feeder_args: labels {low} to {high} where the network has classes 0 to {num_class - 1} "
                    "(num_class in model_args)"
                )
        if "train" in self.feeders and self.arg.batch_size % self.world.size:
            raise UsageError(
                f"batch_size {self.arg.batch_size} cannot be shared equally by {self.world.size} processes; "
                f"give --batch_size {self.arg.batch_size // self.world.size * self.world.size or self.world.size}"
            )
        if "train" in self.feeders and len(self.feeders["train"]) < self.arg.batch_size:
            raise UsageError(
                f"batch_size {self.arg.batch_size} is larger than the training set ({len(self.feeders['train'])} clips); "
                f"give --batch_size {max(1, len(self.feeders['train']) // 4)} or so"
            )
        return num_class

    def loader(self, part: str) -> tuple[DataLoader, Batches]:
        """The loader of one part and the sampler that says which clips are in its batches."""
        arg, feeder = self.arg, self.feeders[part]
        training = part == "train"
        batches = Batches(
            len(feeder),
            arg.batch_size if training else arg.test_batch_size,
            shuffle=training,
            seed=arg.seed,
            epoch_in_index=training and getattr(feeder, "epoch_in_index", False),
            rank=self.world.rank,
            world=self.world.size,
        )
        workers = arg.num_worker
        if workers is None:  # on a CPU the network needs the cores more than the feeder does
            on_gpu = self.devices.main.type == "cuda"
            cores = (os.cpu_count() or 1) // self.world.local_size
            workers = max(1, min(4 * len(self.devices.ids), cores)) if on_gpu else 0
        return DataLoader(
            feeder,
            batch_sampler=batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self.devices.main.type == "cuda",
            generator=torch.Generator(),  # else it draws from torch's own, and a resumed epoch would differ
        ), batches

    # ---- training

    def train(self) -> None:
        """Epochs of training with an evaluation now and then; every file of the work folder, see README."""
        arg = self.arg
        self.base_lr = arg.base_lr
        if arg.scale_lr:
            self.base_lr *= arg.batch_size * arg.accumulate / arg.scale_lr
            self.log(f"base_lr {arg.base_lr} is for batches of {arg.scale_lr}: using {self.base_lr:.6g}")
        self.optimizer = optim.build_optimizer(
            self.network.parameters(), arg.optimizer, self.base_lr, arg.weight_decay, arg.nesterov
        )
        self.scaler = self.precision.scaler or torch.amp.GradScaler(enabled=False)
        self.epoch, self.batch, self.iteration, self.best = arg.start_epoch, 0, 0, -1.0
        self.loss_sum, self.seconds = 0.0, 0.0  # of this epoch so far
        if arg.resume or (self.world.restarted and (self.work_dir.path / "checkpoint.pt").exists()):
            self.resume()
        self.network.to(self.devices.main)
        if arg.sync_bn:
            self.network = self.synchronised(self.network)
        self.train_loader, self.train_batches = self.loader("train")
        if "test" in self.feeders:
            self.test_loader, _ = self.loader("test")
        else:
            self.log("No test_feeder_args: this run trains without evaluation.")
        model = self.compiled(self.network) if arg.compile else self.network
        self.model = device.wrap(self.world.wrap(model, self.devices.main), self.devices)
        self.writer = self.tensorboard() if arg.tensorboard and self.world.chief else None
        self.stop = False
        signals = (signal.SIGINT, signal.SIGTERM) if self.world.size == 1 else ()  # torchrun ends its processes itself
        previous = {s: signal.signal(s, self.ask_to_stop) for s in signals}
        try:
            while self.epoch < arg.num_epoch:
                row = self.train_epoch()
                last = self.epoch + 1 == arg.num_epoch
                if "test" in self.feeders and ((self.epoch + 1) % arg.eval_interval == 0 or last):
                    self.log(f"Eval epoch: {self.epoch}")
                    row |= self.report(*self.evaluate(self.test_loader))
                    self.log("Done.")
                    if row["top1"] > self.best:
                        self.best = row["top1"]
                        self.save_weights("best_model.pt")
                if (self.epoch + 1) % arg.save_interval == 0 or last:
                    path = self.save_weights(f"epoch{self.epoch + 1}_model.pt")
                    self.log(f"The model has been saved as {path}.")
                if self.world.chief:
                    self.work_dir.metrics(row)
                if self.writer:
                    for key, value in row.items():
                        self.writer.add_scalar(key, value, self.epoch)
                self.epoch, self.batch, self.loss_sum, self.seconds = self.epoch + 1, 0, 0.0, 0.0
                self.save_state()
        finally:
            for s, handler in previous.items():
                signal.signal(s, handler)
            if self.writer:
                self.writer.close()

    def train_epoch(self) -> dict[str, float]:
        """One pass over the training clips, or what is left of it after a resume; its row of metrics.csv."""
        arg = self.arg
        self.log(f"Training epoch: {self.epoch}")
        self.model.train()
        if self.batch == 0:
            torch.manual_seed(
                (arg.seed << 32) + self.epoch * self.world.size + self.world.rank
            )  # dropout of this epoch
        self.train_batches.start(self.epoch, self.batch)
        watch, begin = Stopwatch(), time.perf_counter()
        bar = tqdm(
            self.train_loader,
            desc=f"epoch {self.epoch}",
            initial=self.batch,
            total=self.train_batches.per_epoch,
            leave=False,
            disable=not (sys.stderr.isatty() and self.world.chief),
        )
        for data, label in bar:
            lr = self.set_learning_rate()
            data = data.float().to(self.devices.main, non_blocking=True)
            label = label.long().to(self.devices.main, non_blocking=True)
            watch.lap("dataloader")
            done, per_epoch = self.batch + 1, self.train_batches.per_epoch
            group = min(
                arg.accumulate, per_epoch - self.batch // arg.accumulate * arg.accumulate
            )  # batches of this update
            update = done % arg.accumulate == 0 or done == per_epoch
            with nullcontext() if update else self.world.silent(self.model):
                with self.precision.autocast():
                    output = self.model(data)
                    loss = F.cross_entropy(output.float(), label, label_smoothing=arg.label_smoothing)
                value = loss.item()
                if not np.isfinite(value):
                    self.refuse_loss(value)
                self.scaler.scale(loss / group).backward()
            if update:
                self.step()
            watch.lap("model")
            self.loss_sum += value
            bar.set_postfix(loss=f"{value:.4f}", lr=f"{lr:.6f}")
            if self.iteration % arg.log_interval == 0:
                self.log(f"\tIter {self.iteration} Done. | loss: {value:.4f} | lr: {lr:.6f}")
            self.batch += 1
            self.iteration += 1
            watch.lap("statistics")
            if self.stop and update and done < per_epoch:
                self.seconds += time.perf_counter() - begin
                self.save_state()
                raise KeyboardInterrupt
        self.seconds += time.perf_counter() - begin
        loss = float(np.mean(self.world.gather(self.loss_sum))) / self.train_batches.per_epoch
        self.log(f"\tmean_loss: {loss:.4f}")
        for line in watch.lines():
            self.log(line)
        self.log("Done.")
        clips = self.train_batches.per_epoch * arg.batch_size
        return {
            "epoch": self.epoch + 1,
            "loss": loss,
            "lr": lr,
            "seconds": round(self.seconds, 3),
            "samples_per_second": round(clips / self.seconds, 2),
        }

    def set_learning_rate(self) -> float:
        """The rate of this iteration, by the schedule."""
        arg = self.arg
        lr = optim.learning_rate(
            arg.lr_schedule,
            self.base_lr,
            arg.step,
            arg.num_epoch,
            arg.warm_up_epoch,
            self.epoch,
            self.batch / self.train_batches.per_epoch,
        )
        optim.set_learning_rate(self.optimizer, lr)
        return lr

    def step(self) -> None:
        """Clip the gradient, update the weights."""
        if self.arg.grad_clip > 0:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.arg.grad_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def synchronised(self, network: torch.nn.Module) -> torch.nn.Module:
        """Batch norms that take their statistics over the batches of all processes."""
        if self.world.size == 1 or self.devices.main.type != "cuda":
            raise UsageError("--sync_bn needs several processes with a GPU each; start them with torchrun")
        return torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)

    def compiled(self, network: torch.nn.Module) -> torch.nn.Module:
        """torch.compile, tried on one batch; where it fails the network as it is, and a line that says so."""
        weights = {key: value.clone() for key, value in network.state_dict().items()}  # the trial moves running means
        data, label = next(iter(self.train_loader))
        try:
            model = torch.compile(network)
            with self.precision.autocast():
                output = model(data.float().to(self.devices.main))
                F.cross_entropy(output.float(), label.long().to(self.devices.main)).backward()
        except Exception as error:  # whatever a compiler may come up with
            self.log(f"--compile failed, going on without it: {str(error).strip().splitlines()[0]}")
            model = network
        network.load_state_dict(weights)
        network.zero_grad(set_to_none=True)
        return model

    def refuse_loss(self, value: float) -> None:
        """A loss that is not finite ends the run, with the names of the clips it came from."""
        feeder = self.feeders["train"]
        clips = self.train_batches.samples(self.batch)
        names = [str(feeder.sample_name[i]) if hasattr(feeder, "sample_name") else f"clip {i}" for i in clips]
        raise UsageError(
            f"the loss is {value} in epoch {self.epoch}, iteration {self.iteration}; nothing was saved since the last epoch; "
            f"lower base_lr, or look at these clips: {', '.join(names)}"
        )

    # ---- where a run stands

    def ask_to_stop(self, signum: int, frame: object) -> None:
        """The first Ctrl-C (or SIGTERM) lets the iteration finish and saves; a second one ends it at once."""
        if self.stop:
            raise KeyboardInterrupt
        self.stop = True
        self.log(f"Stopping after this iteration; go on later with --resume -w {self.arg.work_dir}")

    def save_weights(self, name: str) -> Path:
        """The network's weights in the work folder."""
        path = self.work_dir.path / name
        if self.world.chief:
            checkpoint.save_weights(self.network, path)
        return path

    def save_state(self) -> None:
        """checkpoint.pt: everything --resume needs to come to the same weights as a run that was never stopped."""
        if not self.world.chief:
            return
        checkpoint.save_checkpoint(
            self.work_dir.path / "checkpoint.pt",
            model=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler=self.scaler.state_dict(),
            epoch=self.epoch,
            batch=self.batch,
            iteration=self.iteration,
            best=self.best,
            loss_sum=self.loss_sum,
            seconds=self.seconds,
            random=checkpoint.random_state(),
        )
        if self.stop:
            raise KeyboardInterrupt

    def resume(self) -> None:
        """Take up work_dir/checkpoint.pt."""
        path = self.work_dir.path / "checkpoint.pt"
        if not path.exists():
            raise UsageError(f"--resume: {path} does not exist; the run in this folder did not finish an epoch")
        state = checkpoint.load_checkpoint(path)
        try:
            self.network.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            line = f"--resume: {path} is of another network or optimizer; take the config it was made with"
            raise UsageError(line) from error
        self.scaler.load_state_dict(state["scaler"])
        for key in ("epoch", "batch", "iteration", "best", "loss_sum", "seconds"):
            setattr(self, key, state[key])
        checkpoint.set_random_state(state["random"])
        self.log(f"Resumed from {path}: epoch {self.epoch}, batch {self.batch}.")

    def tensorboard(self):
        """A SummaryWriter; imported here because few runs want it and it is slow to import."""
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.work_dir.path / "tensorboard"))

    # ---- evaluation

    @torch.no_grad()
    def evaluate(self, loader: DataLoader) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N, num_class) float32 and labels (N,) of every clip, in the feeder's order.

        The score of a clip is the network's output; of several samples of one clip, the logarithm of their mean softmax.
        """
        model, autocast = self.inference_form()
        scores, labels = [], []
        bar = tqdm(loader, desc="evaluation", leave=False, disable=not (sys.stderr.isatty() and self.world.chief))
        for data, label in bar:
            data = data.float().to(self.devices.main, non_blocking=True)
            several = data.dim() == 6  # (N, num_clips, C, T, V, M)
            with autocast():
                output = model(data.flatten(0, 1) if several else data).float()  # (N * num_clips, num_class)
            if several:
                output = output.unflatten(0, data.shape[:2]).softmax(-1).mean(1).log()
            scores.append(output.cpu().numpy())
            labels.append(label.numpy())
        clips = [clip for batch in loader.batch_sampler for clip in batch]  # of this process
        scores = np.concatenate([np.zeros((0, self.num_class), np.float32), *scores])
        labels = np.concatenate([np.zeros(0, np.int64), *labels])
        clips, scores, labels = (np.concatenate(shares) for shares in zip(*self.world.gather((clips, scores, labels))))
        order = np.argsort(clips)
        return scores[order], labels[order]

    def inference_form(self) -> tuple[torch.nn.Module, Callable]:
        """What to evaluate with, and the context to do it in: the network's fused form if it has one."""
        network = self.network.to(self.devices.main).eval()
        if hasattr(network, "fuse"):
            return device.wrap(network.fuse(self.precision.dtype), self.devices), nullcontext
        return device.wrap(network, self.devices), self.precision.autocast

    def report(self, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Log and return loss and accuracies, in per cent."""
        loss = F.cross_entropy(torch.from_numpy(scores), torch.from_numpy(labels).long()).item()
        self.log(f"\tmean_loss: {loss:.4f}")
        result = {"test_loss": loss, "top1": 100 * metrics.top_k(scores, labels, 1)}
        shown, left_out = metrics.telling_top_k(self.arg.show_topk, self.num_class)
        for k in shown:
            result[f"top{k}"] = 100 * metrics.top_k(scores, labels, k)
            self.log(f"\tTop{k}: {result[f'top{k}']:.2f}%")
        if left_out:
            self.log(f"\t{left_out}")
        result["mean_class_accuracy"] = 100 * metrics.mean_class_accuracy(scores, labels)
        self.log(f"\tMean class accuracy: {result['mean_class_accuracy']:.2f}%")
        return result

    def test(self) -> None:
        """Evaluate once and write the tables and pictures a person wants afterwards."""
        arg = self.arg
        self.log(f"Model:   {arg.model}.")
        self.log(f"Weights: {arg.weights}.")
        self.log("Evaluation Start:")
        scores, labels = self.evaluate(self.loader("test")[0])
        self.report(scores, labels)
        if not self.world.chief:
            return
        folder = self.work_dir.path
        matrix = metrics.confusion_matrix(scores, labels, self.num_class)
        metrics.write_per_class_csv(folder / "per_class.csv", scores, labels, self.names)
        metrics.write_confusion_csv(folder / "confusion_matrix.csv", matrix, self.names)
        metrics.draw_confusion(folder / "confusion_matrix.png", matrix, self.names)
        if arg.save_result:
            self.save_result(scores)
        self.log(f"Results are in {folder}: per_class.csv, confusion_matrix.csv, confusion_matrix.png")
        self.log("Done.\n")

    def save_result(self, scores: np.ndarray) -> None:
        """test_result.pkl: {sample name: scores (num_class,) float32}."""
        feeder = self.feeders["test"]
        names = getattr(feeder, "sample_name", None)
        if names is None or len(set(names)) != len(scores):
            found = len(set(names or []))
            raise UsageError(
                f"--save_result needs a name for every clip; {self.arg.feeder} has {found} for {len(scores)}"
            )
        with atomic(self.work_dir.path / "test_result.pkl", "wb") as file:
            pickle.dump(dict(zip(names, scores.astype(np.float32))), file)

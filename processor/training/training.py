"""Training: epochs of batches, an evaluation now and then, and the files from which a run can be resumed."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from processor.protocols import names_of
from processor.sidecar import write_sidecar
from processor.training.batched import batches_of
from processor.training.evaluation import accuracies, evaluate, save_result, write_tables
from processor.training.experiment import Experiment
from processor.training.report import conclude
from torchlight import checkpoint, device, optim
from torchlight.errors import UsageError
from torchlight.signals import interruption
from torchlight.stopwatch import Stopwatch
from torchlight.threads import Threads


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


SCHEMA = {  # of a checkpoint
    **dict.fromkeys(("epoch", "batch", "iteration"), _is_count),
    **dict.fromkeys(("best", "loss_sum", "seconds"), _is_finite),
    **dict.fromkeys(("model", "optimizer", "scaler", "random"), lambda value: isinstance(value, dict)),
}
STATE = ("epoch", "batch", "iteration", "best", "loss_sum", "seconds")  # what a checkpoint keeps of the progress


class Training:
    """One training: `Training(experiment).train()`.

    Attributes:
        epoch, batch: what comes next, both from 0.
        iteration: batches since the beginning.
        best: the highest top-1 of an evaluation, in per cent.
        loss_sum, seconds: of the epoch so far.
    """

    def __init__(self, experiment: Experiment):
        self.experiment, self.arg, self.world = experiment, experiment.arg, experiment.world
        self.log, self.folder, self.main = experiment.log, experiment.work_dir.path, experiment.devices.main
        self.epoch, self.batch, self.iteration, self.best = self.arg.start_epoch, 0, 0, -1.0
        self.loss_sum, self.seconds = 0.0, 0.0
        self.stop_signal: int | None = None
        self.answers: tuple[np.ndarray, np.ndarray] | None = None  # scores and labels of the last evaluation
        self.build_optimizer()
        self.train_loader, self.train_batches = experiment.loader("train")
        if self.arg.resume or self.world.restarted:
            self.resume()
        self.test_loader = experiment.loader("test")[0] if "test" in experiment.feeders else None
        if self.test_loader is None:
            self.log("No test_feeder_args: this run trains without evaluation.")
        model = self.compiled() if self.arg.compile else experiment.network
        self.model = device.wrap(self.world.wrap(model, self.main), experiment.devices)
        self.threads = Threads(self.log, fixed=True if self.main.type == "cuda" else None)
        self.writer = self.tensorboard() if self.arg.tensorboard and self.world.is_main else None

    def build_optimizer(self) -> None:
        """The network on its device, the optimizer of its parameters, and the scaler of fp16."""
        arg, experiment = self.arg, self.experiment
        experiment.network.to(self.main)
        if arg.sync_bn:
            if self.world.size == 1 or self.main.type != "cuda":
                raise UsageError("--sync_bn needs several processes with a GPU each; start them with torchrun")
            experiment.network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(experiment.network)
        self.base_lr = arg.base_lr
        if arg.scale_lr:
            self.base_lr *= arg.batch_size * arg.accumulate / arg.scale_lr
            self.log(f"base_lr {arg.base_lr} is for batches of {arg.scale_lr}: using {self.base_lr:.6g}")
        self.optimizer = optim.build_optimizer(
            experiment.network.parameters(), arg.optimizer, self.base_lr, arg.weight_decay, arg.nesterov
        )
        self.scaler = experiment.precision.scaler or torch.amp.GradScaler(enabled=False)

    # ---- the loop

    def train(self) -> dict[str, float]:
        """Until num_epoch, or Ctrl-C or SIGTERM; returns the last row of metrics.csv."""
        resumed_at_end = self.epoch >= self.arg.num_epoch
        row = self.experiment.work_dir.last_metrics() if resumed_at_end else {}
        alone = self.world.size == 1 and threading.current_thread() is threading.main_thread()
        signals = (
            (signal.SIGINT, signal.SIGTERM) if alone else ()
        )  # torchrun ends its own processes, a thread gets none
        previous = {s: signal.signal(s, self.request_stop) for s in signals}
        try:
            while self.epoch < self.arg.num_epoch:
                row = self.train_epoch()
                row |= self.evaluate_epoch()
                self.save_epoch(row)
                self.epoch, self.batch, self.loss_sum, self.seconds = self.epoch + 1, 0, 0.0, 0.0
                self.save_state()
                if self.stop_signal:
                    raise interruption(self.stop_signal)
        finally:
            for s, handler in previous.items():
                signal.signal(s, handler)
            if self.writer:
                self.writer.close()
        if not resumed_at_end or not self.is_concluded():
            self.conclude(row)
        return row

    def is_concluded(self) -> bool:
        """Whether a run that has no epoch left wrote its report too, before it was ended."""
        manifest, state = self.folder / "manifest.json", self.folder / "checkpoint.pt"
        return manifest.exists() and state.exists() and manifest.stat().st_mtime >= state.stat().st_mtime

    def conclude(self, row: dict[str, float]) -> None:
        """The tables and the report of the last evaluation, and the manifest."""
        if self.answers is None and self.test_loader is not None:
            self.answers = evaluate(self.experiment, self.test_loader)
        if self.world.is_main:
            if self.answers:
                write_tables(self.experiment, *self.answers)
            weights = self.folder / f"epoch{self.arg.num_epoch}_model.pt"
            conclude(self.experiment, row, *(self.answers or (None, None)), weights)

    def train_epoch(self) -> dict[str, float]:
        """One pass over the training clips, or the rest of it after a resume; its row of metrics.csv."""
        watch, begin = Stopwatch(), time.perf_counter()
        bar = self.begin_epoch()
        for data, label in bar:
            lr = self.set_learning_rate()
            data = data.float().to(self.main, non_blocking=True)
            label = label.long().to(self.main, non_blocking=True)
            watch.lap("dataloader")
            update = self.is_update()
            with self.threads.timed():
                loss = self.forward_backward(data, label, update)
                if update:
                    self.step()
            watch.lap("model")
            bar.set_postfix(loss=f"{loss:.4f}", lr=f"{lr:.6f}")
            if self.iteration % self.arg.log_interval == 0:
                self.log(f"\tIter {self.iteration} Done. | loss: {loss:.4f} | lr: {lr:.6f}")
            self.loss_sum, self.batch, self.iteration = self.loss_sum + loss, self.batch + 1, self.iteration + 1
            watch.lap("statistics")
            if self.stop_signal and update and self.batch < self.train_batches.per_epoch:
                self.seconds += time.perf_counter() - begin
                self.save_state()
                raise interruption(self.stop_signal)
        self.seconds += time.perf_counter() - begin
        return self.end_epoch(lr, watch)

    def begin_epoch(self) -> tqdm:
        """Everything that an epoch draws from its own seed; its batches, with a progress bar."""
        self.log(f"Training epoch: {self.epoch}")
        self.model.train()
        if self.batch == 0:
            torch.manual_seed((self.arg.seed << 32) + self.epoch * self.world.size + self.world.rank)  # dropout
        self.train_batches.start(self.epoch, self.batch)
        self.threads.begin_epoch()
        return tqdm(
            batches_of(self.train_loader),
            desc=f"epoch {self.epoch}",
            initial=self.batch,
            total=self.train_batches.per_epoch,
            leave=False,
            disable=not (sys.stderr.isatty() and self.world.is_main),
        )

    def set_learning_rate(self) -> float:
        """The rate of this iteration, by the schedule."""
        arg, fraction = self.arg, self.batch / self.train_batches.per_epoch
        lr = optim.learning_rate(
            arg.lr_schedule, self.base_lr, arg.step, arg.num_epoch, arg.warm_up_epoch, self.epoch, fraction
        )
        optim.set_learning_rate(self.optimizer, lr)
        return lr

    def is_update(self) -> bool:
        """Whether the weights are updated after this batch: it is the last one of its --accumulate, or of the epoch."""
        done = self.batch + 1
        return done % self.arg.accumulate == 0 or done == self.train_batches.per_epoch

    def forward_backward(self, data: Tensor, label: Tensor, update: bool) -> float:
        """Loss and gradients of one batch; gradients are exchanged with other processes only before an update."""
        first = self.batch // self.arg.accumulate * self.arg.accumulate
        batches = min(self.arg.accumulate, self.train_batches.per_epoch - first)  # of this update
        with nullcontext() if update else self.world.no_sync(self.model):
            with self.experiment.precision.autocast():
                output = self.model(data)
                loss = F.cross_entropy(output.float(), label, label_smoothing=self.arg.label_smoothing)
            value = loss.item()
            if not np.isfinite(value):
                self.stop_on_bad_loss(value)
            self.scaler.scale(loss / batches).backward()
        return value

    def step(self) -> None:
        """Clip the gradient, update the weights."""
        if self.arg.grad_clip > 0:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.experiment.network.parameters(), self.arg.grad_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def end_epoch(self, lr: float, watch: Stopwatch) -> dict[str, float]:
        """Log the epoch; its row of metrics.csv."""
        loss = float(np.mean(self.world.gather(self.loss_sum))) / self.train_batches.per_epoch
        for line in (f"\tmean_loss: {loss:.4f}", *watch.lines(), "Done."):
            self.log(line)
        clips = self.train_batches.per_epoch * self.arg.batch_size
        return {
            "epoch": self.epoch + 1,
            "loss": loss,
            "lr": lr,
            "seconds": round(self.seconds, 3),
            "samples_per_second": round(clips / self.seconds, 2),
        }

    def is_last_epoch(self) -> bool:
        return self.epoch + 1 == self.arg.num_epoch

    def evaluate_epoch(self) -> dict[str, float]:
        """After every eval_interval epochs and the last one: accuracies; and best_model.pt, if they are the best."""
        last = self.is_last_epoch()
        if self.test_loader is None or ((self.epoch + 1) % self.arg.eval_interval and not last):
            return {}
        self.log(f"Eval epoch: {self.epoch}")
        self.answers = scores, labels = evaluate(self.experiment, self.test_loader)
        result = accuracies(self.experiment, scores, labels)
        if last and self.arg.save_result and self.world.is_main:
            save_result(self.experiment, scores)
        self.log("Done.")
        if result["top1"] > self.best:
            self.best = result["top1"]
            self.save_weights("best_model.pt")
        return result

    def save_epoch(self, row: dict[str, float]) -> None:
        """The weights, after every save_interval epochs and the last one, and the row of metrics.csv."""
        if (self.epoch + 1) % self.arg.save_interval == 0 or self.is_last_epoch():
            path = self.save_weights(f"epoch{self.epoch + 1}_model.pt")
            self.log(f"The model has been saved as {path}.")
        if self.world.is_main:
            self.experiment.work_dir.metrics(row)
        if self.writer:
            for key, value in row.items():
                self.writer.add_scalar(key, value, self.epoch)

    def stop_on_bad_loss(self, value: float) -> None:
        """A loss that is not finite ends the training, with the names of the clips it came from."""
        names = names_of(self.experiment.feeders["train"], self.train_batches.samples(self.batch))
        raise UsageError(
            f"the loss is {value} in epoch {self.epoch}, iteration {self.iteration}; nothing was saved since the last epoch; "
            f"lower base_lr, or look at these clips: {', '.join(names)}"
        )

    # ---- the state of a training, and its files

    def request_stop(self, signum: int, frame: object) -> None:
        """The first Ctrl-C (or SIGTERM) lets the iteration finish and saves; a second one ends the process at once."""
        if self.stop_signal:
            raise interruption(signum)
        self.stop_signal = signum
        self.log(f"Stopping after this iteration; go on later with --resume -w {self.arg.work_dir}")

    def save_weights(self, name: str) -> Path:
        """The network's weights in the work folder, and their side-car."""
        path = self.folder / name
        if self.world.is_main:
            checkpoint.save_weights(self.experiment.network, path)
            write_sidecar(path, self.experiment.description)
        return path

    def save_state(self) -> None:
        """checkpoint.pt: everything --resume needs to end with the same weights as a run that was never stopped."""
        if self.world.is_main:
            checkpoint.save_checkpoint(
                self.folder / "checkpoint.pt",
                model=self.experiment.network.state_dict(),
                optimizer=self.optimizer.state_dict(),
                scaler=self.scaler.state_dict(),
                **{key: getattr(self, key) for key in STATE},
                random=checkpoint.random_state(),
            )

    def resume(self) -> None:
        """Restore the state of work_dir/checkpoint.pt, or of the one before it if the last one is damaged."""
        path, problem = self.folder / "checkpoint.pt", None
        for file in (path, checkpoint.previous_of(path)):
            if file.exists():
                try:
                    self.restore(checkpoint.load_checkpoint(file, SCHEMA), file)
                except UsageError as error:
                    self.log(str(error))
                    problem = problem or error
                else:
                    self.log(f"Resumed from {file}: epoch {self.epoch}, batch {self.batch}.")
                    return
        if problem:
            raise problem
        self.log(f"--resume: {path} does not exist, nothing was saved yet: starting from the beginning.")

    def restore(self, state: dict[str, Any], path: Path) -> None:
        """Take over the content of a checkpoint; UsageError if it is not one of this run."""
        if state["batch"] > self.train_batches.per_epoch:
            raise UsageError(f"{path}: batch {state['batch']} where an epoch has {self.train_batches.per_epoch}")
        try:
            self.experiment.network.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            checkpoint.set_random_state(state["random"])
        except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            line = f"--resume: {path} is damaged, or of another network or optimizer; take the config it was made with"
            raise UsageError(line) from error
        for key in STATE:
            setattr(self, key, state[key])

    def compiled(self) -> torch.nn.Module:
        """The network under torch.compile, tried on one batch; where that fails, a log line and the network itself."""
        network = self.experiment.network
        weights = {key: value.clone() for key, value in network.state_dict().items()}  # the trial moves running means
        data, label = next(iter(self.train_loader))
        try:
            model = torch.compile(network)
            with self.experiment.precision.autocast():
                output = model(data.float().to(self.main))
                F.cross_entropy(output.float(), label.long().to(self.main)).backward()
        except Exception as error:  # a compiler can fail in any way
            self.log(f"--compile failed, going on without it: {str(error).strip().splitlines()[0]}")
            model = network
        network.load_state_dict(weights)
        network.zero_grad(set_to_none=True)
        return model

    def tensorboard(self):
        """A SummaryWriter; imported here because few runs want it and it is slow to import."""
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder / "tensorboard"))

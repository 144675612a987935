"""Training: epochs of batches, an evaluation now and then, and the files that let a run be taken up again."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from processor.sidecar import write_sidecar
from processor.training.evaluation import evaluate, report, save_result
from processor.training.experiment import Experiment
from torchlight import checkpoint, device, optim
from torchlight.errors import UsageError
from torchlight.stopwatch import Stopwatch

STATE = ("epoch", "batch", "iteration", "best", "loss_sum", "seconds")  # what a checkpoint keeps of the progress


class Training:
    """One training run: `Training(run).train()`.

    Attributes:
        epoch, batch: where the run stands; epochs and batches from 0.
        iteration: batches since the beginning.
        best: the highest top-1 of an evaluation, in per cent.
        loss_sum, seconds: of the epoch so far.
    """

    def __init__(self, run: Experiment):
        self.run, arg = run, run.arg
        run.network.to(run.devices.main)
        if arg.sync_bn:
            if run.world.size == 1 or run.devices.main.type != "cuda":
                raise UsageError("--sync_bn needs several processes with a GPU each; start them with torchrun")
            run.network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(run.network)
        self.base_lr = arg.base_lr
        if arg.scale_lr:
            self.base_lr *= arg.batch_size * arg.accumulate / arg.scale_lr
            run.log(f"base_lr {arg.base_lr} is for batches of {arg.scale_lr}: using {self.base_lr:.6g}")
        self.optimizer = optim.build_optimizer(
            run.network.parameters(), arg.optimizer, self.base_lr, arg.weight_decay, arg.nesterov
        )
        self.scaler = run.precision.scaler or torch.amp.GradScaler(enabled=False)
        self.epoch, self.batch, self.iteration, self.best = arg.start_epoch, 0, 0, -1.0
        self.loss_sum, self.seconds = 0.0, 0.0
        if arg.resume or (run.world.restarted and (run.work_dir.path / "checkpoint.pt").exists()):
            self.resume()
        self.train_loader, self.train_batches = run.loader("train")
        self.test_loader = run.loader("test")[0] if "test" in run.feeders else None
        if self.test_loader is None:
            run.log("No test_feeder_args: this run trains without evaluation.")
        model = self.compiled() if arg.compile else run.network
        self.model = device.wrap(run.world.wrap(model, run.devices.main), run.devices)
        self.writer = self.tensorboard() if arg.tensorboard and run.world.chief else None
        self.stop = False

    def train(self) -> dict[str, float]:
        """Until num_epoch, or Ctrl-C; returns the last row of metrics.csv."""
        row = self.run.work_dir.last_metrics() if self.epoch else {}  # of a run that was finished already
        signals = (signal.SIGINT, signal.SIGTERM) if self.run.world.size == 1 else ()  # torchrun ends its own processes
        previous = {s: signal.signal(s, self.ask_to_stop) for s in signals}
        try:
            while self.epoch < self.run.arg.num_epoch:
                row = self.record(self.train_epoch())
                self.epoch, self.batch, self.loss_sum, self.seconds = self.epoch + 1, 0, 0.0, 0.0
                self.save_state()
        finally:
            for s, handler in previous.items():
                signal.signal(s, handler)
            if self.writer:
                self.writer.close()
        return row

    def record(self, row: dict[str, float]) -> dict[str, float]:
        """After an epoch: evaluate and save weights when it is time, and write the row of metrics.csv."""
        run, arg, last = self.run, self.run.arg, self.epoch + 1 == self.run.arg.num_epoch
        if self.test_loader and ((self.epoch + 1) % arg.eval_interval == 0 or last):
            run.log(f"Eval epoch: {self.epoch}")
            scores, labels = evaluate(run, self.test_loader)
            row |= report(run, scores, labels)
            if last and arg.save_result and run.world.chief:
                save_result(run, scores)
            run.log("Done.")
            if row["top1"] > self.best:
                self.best = row["top1"]
                self.save_weights("best_model.pt")
        if (self.epoch + 1) % arg.save_interval == 0 or last:
            path = self.save_weights(f"epoch{self.epoch + 1}_model.pt")
            run.log(f"The model has been saved as {path}.")
        if run.world.chief:
            run.work_dir.metrics(row)
        if self.writer:
            for key, value in row.items():
                self.writer.add_scalar(key, value, self.epoch)
        return row

    def train_epoch(self) -> dict[str, float]:
        """One pass over the training clips, or what is left of it after a resume; its row of metrics.csv."""
        arg = self.run.arg
        self.run.log(f"Training epoch: {self.epoch}")
        self.model.train()
        if self.batch == 0:
            world = self.run.world
            torch.manual_seed((arg.seed << 32) + self.epoch * world.size + world.rank)  # dropout of this epoch
        self.train_batches.start(self.epoch, self.batch)
        watch, begin = Stopwatch(), time.perf_counter()
        bar = tqdm(
            self.train_loader,
            desc=f"epoch {self.epoch}",
            initial=self.batch,
            total=self.train_batches.per_epoch,
            leave=False,
            disable=not (sys.stderr.isatty() and self.run.world.chief),
        )
        for data, label in bar:
            lr = self.set_learning_rate()
            data = data.float().to(self.run.devices.main, non_blocking=True)
            label = label.long().to(self.run.devices.main, non_blocking=True)
            watch.lap("dataloader")
            done, per_epoch = self.batch + 1, self.train_batches.per_epoch
            update = done % arg.accumulate == 0 or done == per_epoch
            group = min(arg.accumulate, per_epoch - self.batch // arg.accumulate * arg.accumulate)  # batches an update
            with nullcontext() if update else self.run.world.silent(self.model):
                with self.run.precision.autocast():
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
                self.run.log(f"\tIter {self.iteration} Done. | loss: {value:.4f} | lr: {lr:.6f}")
            self.batch += 1
            self.iteration += 1
            watch.lap("statistics")
            if self.stop and update and done < per_epoch:
                self.seconds += time.perf_counter() - begin
                self.save_state()
                raise KeyboardInterrupt
        self.seconds += time.perf_counter() - begin
        loss = float(np.mean(self.run.world.gather(self.loss_sum))) / self.train_batches.per_epoch
        self.run.log(f"\tmean_loss: {loss:.4f}")
        for line in watch.lines():
            self.run.log(line)
        self.run.log("Done.")
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
        arg = self.run.arg
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
        if self.run.arg.grad_clip > 0:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.run.network.parameters(), self.run.arg.grad_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def compiled(self) -> torch.nn.Module:
        """The network under torch.compile, tried on one batch; where that fails the network itself, and a line that says so."""
        network = self.run.network
        weights = {key: value.clone() for key, value in network.state_dict().items()}  # the trial moves running means
        data, label = next(iter(self.train_loader))
        try:
            model = torch.compile(network)
            with self.run.precision.autocast():
                output = model(data.float().to(self.run.devices.main))
                F.cross_entropy(output.float(), label.long().to(self.run.devices.main)).backward()
        except Exception as error:  # whatever a compiler may come up with
            self.run.log(f"--compile failed, going on without it: {str(error).strip().splitlines()[0]}")
            model = network
        network.load_state_dict(weights)
        network.zero_grad(set_to_none=True)
        return model

    def refuse_loss(self, value: float) -> None:
        """A loss that is not finite ends the run, with the names of the clips it came from."""
        feeder = self.run.feeders["train"]
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
        self.run.log(f"Stopping after this iteration; go on later with --resume -w {self.run.arg.work_dir}")

    def save_weights(self, name: str) -> Path:
        """The network's weights in the work folder, and beside them the .yaml that says what they are."""
        path = self.run.work_dir.path / name
        if self.run.world.chief:
            checkpoint.save_weights(self.run.network, path)
            write_sidecar(path, self.run.description)
        return path

    def save_state(self) -> None:
        """checkpoint.pt: everything --resume needs to come to the same weights as a run that was never stopped."""
        if not self.run.world.chief:
            return
        checkpoint.save_checkpoint(
            self.run.work_dir.path / "checkpoint.pt",
            model=self.run.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler=self.scaler.state_dict(),
            **{key: getattr(self, key) for key in STATE},
            random=checkpoint.random_state(),
        )
        if self.stop:
            raise KeyboardInterrupt

    def resume(self) -> None:
        """Take up work_dir/checkpoint.pt."""
        path = self.run.work_dir.path / "checkpoint.pt"
        if not path.exists():
            raise UsageError(f"--resume: {path} does not exist; the run in this folder did not finish an epoch")
        state = checkpoint.load_checkpoint(path)
        try:
            self.run.network.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            line = f"--resume: {path} is of another network or optimizer; take the config it was made with"
            raise UsageError(line) from error
        self.scaler.load_state_dict(state["scaler"])
        for key in STATE:
            setattr(self, key, state[key])
        checkpoint.set_random_state(state["random"])
        self.run.log(f"Resumed from {path}: epoch {self.epoch}, batch {self.batch}.")

    def tensorboard(self):
        """A SummaryWriter; imported here because few runs want it and it is slow to import."""
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.run.work_dir.path / "tensorboard"))

"""The folded networks on a stream: every frame is computed once, whatever the number of predictions.

    stream = model.eval().stream()              # or stream(torch.bfloat16)
    for frame in frames:                        # (N, C, V, M), or several at once: (N, C, T, V, M)
        feature = stream(frame)                 # (N, C', t, V, M): what has become known; t is mostly 0
        if feature.shape[2]:
            logits = stream.logits()            # (N, num_class), over the last 64 frames that are known
    rest = stream.flush()                       # no more frames will come: the rest of the features

The features are those of the ordinary network on the whole sequence, zero padding at its beginning and (`flush`) at its
end included (cf. Hedegaard, Heidari, Iosifidis, "Continual Spatio-Temporal Graph Convolutional Networks", 2022). A
temporal convolution over k frames with stride s makes its output j of the frames s*j - p to s*j + p of its input,
p = k // 2. So each block keeps its latest frames, from s*j - p on, j being the next output, and gives it when frame
s*j + p is there: a delay of p of its own frames, those of all blocks added up of `delay` frames of the input. Where
strides multiply to S, one feature comes out for S frames; S frames at once cost least time.

A sequence that begins is one that has been running for ever, with zeros for frames before 0: then the tensors that are
kept have the same shapes whenever a sequence began, and sequences of different ages are one batch, if they differ by
a multiple of S. docs/streaming.md has the uses and the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from net.fused import FusedBlock, FusedMultiBranchBlock, FusedSTGCN
from net.pool import mean_over_persons


@dataclass
class State:
    """What a stream remembers of N sequences. `state[rows]` are some of them, `State.join` puts several together.

    Attributes:
        age: (N,) int64, on the CPU: frames that each sequence has had.
        kept: of each block the tensors (N, M, frames, V, channels) that its next output needs; predictions do without.
        recent: the latest features (N, M, P, V, C'), zero before the beginning.
        seen: (N, frames, M), whether a person was there in each of the latest frames.
        over: no more frames come.
    """

    age: Tensor
    kept: list[list[Tensor]]
    recent: Tensor
    seen: Tensor
    over: bool = False

    def __getitem__(self, rows: slice | Sequence[int] | Tensor) -> State:
        kept = [[each[rows] for each in block] for block in self.kept]
        return State(self.age[rows], kept, self.recent[rows], self.seen[rows], self.over)

    @staticmethod
    def join(states: Sequence[State]) -> State:
        """All over or none. Raises RuntimeError where their ages do not differ by multiples of S."""
        kept = [[torch.cat(parts) for parts in zip(*blocks)] for blocks in zip(*(state.kept for state in states))]
        age, recent, seen = (torch.cat([getattr(s, name) for s in states]) for name in ("age", "recent", "seen"))
        return State(age, kept, recent, seen, states[0].over)


class Streaming(nn.Module):
    """Made by `Model.stream`.

    Args:
        network: the folded network.
        window: T, frames; features of so many are remembered for `logits`.

    Attributes:
        state: of the sequences; None before the first frame. States are values: one that is put back goes on from there.
        stride: S, frames of the input from one feature to the next.
        delay: feature j, about frame S * j, is known when frame S * j + delay is.
    """

    def __init__(self, network: FusedSTGCN, window: int = 64):
        super().__init__()
        self.network = network
        self.layers = [LAYERS[type(block)](block) for block in network.blocks]
        strides = [layer.stride for layer in self.layers]
        self.jumps = [prod(strides[:i]) for i in range(len(strides) + 1)]  # frames from one to the next, of each layer
        self.stride = self.jumps[-1]
        self.delay = sum(layer.padding * jump for layer, jump in zip(self.layers, self.jumps))
        self.window = max(1, window // self.stride)  # features
        self.state: State | None = None

    def reset(self) -> None:
        """The next frame is the first one of new sequences."""
        self.state = None

    def begin(self, N: int, V: int, M: int) -> State:
        """The state of N sequences before their first frame."""
        scale = self.network.scale
        position, kept = 0, []
        for layer in self.layers:
            frames = max(0, position - layer.first_kept(position))
            empty = [scale.new_zeros(N, M, frames, V, C, dtype=self.network.dtype) for C in layer.widths]
            kept.append(empty)
            position = layer.next_output(position)
        recent = scale.new_zeros(N, M, self.window, V, self.network.blocks[-1].width, dtype=self.network.dtype)
        seen = scale.new_zeros(N, (self.window + 1) * self.stride + self.delay, M, dtype=torch.bool)
        return State(torch.zeros(N, dtype=torch.int64), kept, recent, seen)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """The next frame (N, C, V, M), or the next frames (N, C, T, V, M), of every sequence.

        Returns:
            The features (N, C', t, V, M) that are known now and were not before. Of a sequence that is younger than the
            oldest those before its beginning are zero.
        """
        x = x[:, :, None] if x.dim() == 4 else x
        N, _, T, V, M = x.shape
        if self.state is None:
            self.state = self.begin(N, V, M)
        if self.state.over:
            raise ValueError("these sequences are over; reset() begins new ones")
        feature, kept = self.advance(self.network.normalise(x), self.state, M)
        seen = torch.cat([self.state.seen, (x != 0).any(3).any(1)], 1)[:, T:]
        recent = torch.cat([self.state.recent, feature], 2)[:, :, feature.shape[2] :]
        self.state = State(self.state.age + T, kept, recent, seen)
        return feature.permute(0, 4, 2, 3, 1)

    @torch.no_grad()
    def flush(self) -> Tensor:
        """No more frames will come: the features (N, C', t, V, M) that are left. They count in the predictions from now on."""
        state = self.state
        N, M, _, V, _ = state.recent.shape
        nothing = state.recent.new_zeros(N * M, 1, 0, V)
        feature, _ = self.advance(nothing, state, M, over=True)
        self.state = State(state.age, [], torch.cat([state.recent, feature], 2), state.seen, over=True)
        return feature.permute(0, 4, 2, 3, 1)

    def advance(self, x: Tensor, state: State, M: int, over: bool = False) -> tuple[Tensor, list[list[Tensor]]]:
        """Frames (N*M, C, T, V) through all blocks; over: no more will come.

        Returns:
            Features (N, M, t, V, C'), and what each block keeps.
        """
        N, V = len(state.age), x.shape[3]
        position = int(state.age.max())  # of the first frame in x, in the oldest sequence
        behind = position - state.age  # frames that the others are younger
        if (behind % self.stride).any():
            raise ValueError(f"the ages of sequences in a batch must differ by multiples of {self.stride} frames")
        youngest, kept_now = int(behind.max()), []
        for layer, jump, kept in zip(self.layers, self.jumps, state.kept):
            kept = [each.flatten(0, 1) for each in kept]  # (B, frames, V, C)
            new = x[:, :, max(0, layer.first_kept(position) - position) :]  # a stride beyond the kernel skips frames
            if new.shape[2]:
                new = [each.permute(0, 2, 3, 1) for each in layer.keep(new)]
                first = position + x.shape[2] - new[0].shape[1]
                if first * jump < youngest:  # the padding at the beginning
                    new[0] = new[0] * self.begun(first, new[0].shape[1], jump, behind, M)[..., None, None]
                kept = [torch.cat(pair, 1) for pair in zip(kept, new)]
            if over:
                kept = [F.pad(each, (0, 0, 0, 0, 0, layer.padding)) for each in kept]
            outputs = max(0, (kept[0].shape[1] - layer.kernel) // layer.stride + 1)
            if outputs:
                x = layer.emit([each.permute(0, 3, 1, 2) for each in kept], outputs)
            else:
                x = x.new_zeros(x.shape[0], layer.block.width, 0, V)
            kept_now.append([each[:, layer.stride * outputs :].unflatten(0, (N, M)) for each in kept])
            position = layer.next_output(position)
        x = x[:, :, max(0, -position) :].permute(0, 2, 3, 1)  # (B, t, V, C')
        first = max(0, position)
        if first * self.stride < youngest:
            x = x * self.begun(first, x.shape[1], self.stride, behind, M)[..., None, None]
        return x.unflatten(0, (N, M)), kept_now

    def begun(self, first: int, frames: int, jump: int, behind: Tensor, M: int) -> Tensor:
        """(N*M, frames): 1 where a frame of a layer is one of the sequence, 0 before its beginning."""
        there = (first + torch.arange(frames)) * jump >= behind[:, None]
        return there.repeat_interleave(M, 0).to(self.network.scale.device, self.network.dtype)

    # ---- predictions

    def known(self) -> Tensor:
        """(N,) how many features of each sequence are known; negative before the first one is, by so many."""
        position = self.state.age
        if self.state.over:
            return -(-position // self.stride)
        for layer in self.layers:
            position = layer.next_output(position)
        return position

    @torch.no_grad()
    def latest(self, frames: int | None = None, ago: int = 0) -> tuple[Tensor, Tensor]:
        """The features of the last `frames` frames that are known; None: of the window.

        ago: so many frames before; without `flush` only as far as the window goes back.

        Returns:
            (N, C', P, V, M), zero before the beginning of a sequence, and how many of the P are there (N,).
        """
        P = self.window if frames is None else min(self.window, max(1, frames // self.stride))
        ago = ago // self.stride
        end = self.state.recent.shape[2] - ago
        feature = self.state.recent[:, :, max(0, end - P) : end].permute(0, 4, 2, 3, 1)
        return feature, (self.known() - ago).clamp(0, feature.shape[2])

    @torch.no_grad()
    def pooled(self, frames: int | None = None, ago: int = 0) -> Tensor:
        """(N, C'): the mean of `latest` over frames, joints and persons; zero where nothing is known."""
        feature, count = self.latest(frames, ago)
        P, V = feature.shape[2:4]
        person = feature.sum((2, 3), dtype=self.network.scale.dtype).transpose(1, 2)  # (N, M, C')
        person = person / (count.clamp(min=1) * V).to(person.device)[:, None, None]
        seen = self.state.seen
        late = self.state.age[0] - self.known()[0] * self.stride  # frames since those of the last feature
        end = seen.shape[1] - int(late) - ago
        seen = seen[:, max(0, end - P * self.stride) : end]
        return mean_over_persons(person, seen[:, None, :, None], self.network.masked_pool)

    @torch.no_grad()
    def logits(self, frames: int | None = None, ago: int = 0) -> Tensor:
        """(N, num_class), of `pooled`."""
        return F.linear(self.pooled(frames, ago), self.network.class_weight, self.network.class_bias)


# ---- blocks


class Layer:
    """A `FusedBlock`, in two halves: what is kept of a frame, and the output for the frames that are kept.

    What is kept first is padded with zeros; of the rest only the middle frames are looked at.
    """

    def __init__(self, block: FusedBlock):
        self.block, self.stride = block, block.stride[0]
        self.kernel = block.tcn_W.shape[2]
        self.padding = self.kernel // 2
        self.widths = [block.width, *self.around(block)]

    @staticmethod
    def around(block: nn.Module) -> list[int]:
        """Channels of what goes around the block, if anything does."""
        if block.residual_W is not None:
            return [block.residual_W.shape[1]]
        return [block.width] if block.residual else []

    def next_output(self, position: int | Tensor) -> int | Tensor:
        """The first output that is not there before frame `position` is."""
        return -((self.padding - position) // self.stride)

    def first_kept(self, position: int) -> int:
        """The first frame of which that output is made."""
        return self.stride * self.next_output(position) - self.padding

    def keep(self, x: Tensor) -> list[Tensor]:
        return [self.block.spatial(x), *([x] if self.block.residual else [])]

    def emit(self, kept: Sequence[Tensor], outputs: int) -> Tensor:
        y, *x = kept
        y = F.conv2d(y, self.block.tcn_W, self.block.tcn_bias, self.block.stride)
        return self.add_residual(y, x).relu_()

    def add_residual(self, y: Tensor, x: Sequence[Tensor]) -> Tensor:
        if x:
            x = self.middle(x[0], y.shape[2])
            y += x if self.block.residual_W is None else F.conv2d(x, self.block.residual_W)
        return y

    def middle(self, x: Tensor, outputs: int) -> Tensor:
        """The frames in the middle of those that the outputs are made of."""
        return x[:, :, self.padding : self.padding + self.stride * (outputs - 1) + 1 : self.stride]


class MultiBranchLayer(Layer):
    """A `FusedMultiBranchBlock`. Its branches are as wide as the widest of them: 2 * 4 + 1 frames."""

    def __init__(self, block: FusedMultiBranchBlock):
        self.block, self.stride = block, block.stride[0]
        self.padding = max(dilation[0] for dilation in block.dilations)
        self.kernel = 2 * self.padding + 1
        self.widths = [sum(block.widths), block.width, *self.around(block)]

    def keep(self, x: Tensor) -> list[Tensor]:
        y = self.block.spatial(x)
        reduced = F.conv2d(y, self.block.reduce_W, self.block.reduce_bias).relu_()
        return [reduced, y, *([x] if self.block.residual else [])]

    def emit(self, kept: Sequence[Tensor], outputs: int) -> Tensor:
        block, (reduced, y, *x) = self.block, kept
        *parts, pooled = reduced.split(block.widths, 1)
        ends = []
        for i, (part, dilation) in enumerate(zip(parts, block.dilations)):
            W, bias = getattr(block, f"conv{i}_W"), getattr(block, f"conv{i}_bias")
            ends.append(F.conv2d(self.around_middle(part, dilation[0]), W, bias, block.stride, 0, dilation))
        pooled = F.max_pool2d(self.around_middle(pooled, 1), (3, 1), block.stride)  # after a ReLU zeros are no maximum
        ends.append(torch.addcmul(block.pool_shift, pooled, block.pool_scale))
        ends.append(F.conv2d(self.middle(y, outputs), block.single_W, block.single_bias))
        y = F.conv2d(torch.cat(ends, 1).relu_(), block.merge_W, block.merge_bias)
        return self.add_residual(y, x).relu_()

    def around_middle(self, x: Tensor, reach: int) -> Tensor:
        spare = self.padding - reach
        return x[:, :, spare : x.shape[2] - spare]


LAYERS = {FusedBlock: Layer, FusedMultiBranchBlock: MultiBranchLayer}

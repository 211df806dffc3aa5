"""
Train a small convolutional network on MNIST in plain PyTorch, and show that this machine learns.

It needs torch, matplotlib and, for the fallback data, scikit-learn. Started by torchrun it trains
with DistributedDataParallel, each process on its part of the images: over NCCL where each process
has a GPU, else over gloo. Started by horovodrun it trains with Horovod.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from mnist import BadInput
from mnist_training import LEARNING_RATE, Predict, Progress, batches, chunks, main, parser

try:
    import torch
    import torch.distributed as dist
    from torch import nn
except ImportError as error:  # --help answers without it
    missing: ImportError | None = error
else:
    missing = None


STRATEGIES = ("none", "ddp", "horovod")


def network(shape: tuple[int, ...]) -> Any:
    """One convolution, one pool, two dense layers, for images of (height, width, 1)."""
    height, width = ((side - 2) // 2 for side in shape[:2])
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * height * width, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


def tensor(images: Any) -> Any:
    """Images as PyTorch has them, shape (n, 1, height, width)."""
    return torch.from_numpy(images.reshape(len(images), 1, *images.shape[1:3]))


def measured(loss: Any, output: Any, labels: Any) -> tuple[float, float]:
    """Loss and accuracy of one batch, as numbers."""
    return loss.item(), (output.argmax(1) == labels).float().mean().item()


class PyTorch:
    """A network in PyTorch, alone or as one of those that torchrun or horovodrun started."""

    framework = "torch"
    file = "model.pt"

    def __init__(self, strategy: str, mixed_precision: bool) -> None:
        self.strategy = strategy
        self.rank, self.processes, local = 0, 1, 0
        if strategy == "ddp":
            self.rank, self.processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
            local = int(os.environ.get("LOCAL_RANK", "0"))
        if strategy == "horovod":
            import horovod.torch as hvd

            self.hvd = hvd
            hvd.init()
            self.rank, self.processes, local = hvd.rank(), hvd.size(), hvd.local_rank()
        self.world_size = self.processes
        gpus = torch.cuda.device_count()
        if gpus and local >= gpus:
            raise BadInput(f"this host has {gpus} GPUs, and its process {local + 1} needs its own")
        self.on = torch.device(f"cuda:{local}" if gpus else "cpu")
        self.device = str(self.on)
        self.devices = [f"cuda:{n} {torch.cuda.get_device_name(n)}" for n in range(gpus)] or ["cpu"]
        self.mixed_precision = mixed_precision
        # GPUs before compute capability 8.0 compute with float16 only; its small gradients are
        # scaled, so that they do not become zero.
        old = bool(gpus) and torch.cuda.get_device_capability(self.on) < (8, 0)
        self.half = torch.float16 if old else torch.bfloat16
        if gpus:
            torch.cuda.set_device(self.on)
        if strategy == "ddp":
            dist.init_process_group("nccl" if gpus else "gloo")

    def build(self, shape: tuple[int, ...], seed: int) -> None:
        torch.manual_seed(seed)
        self.shape = shape
        self.model = network(shape).to(self.on)

    def train(
        self, images: Any, labels: Any, epochs: int, batch_size: int, seed: int, progress: Progress
    ) -> None:
        model = self.model
        if self.strategy == "ddp":
            model = nn.parallel.DistributedDataParallel(
                model, device_ids=[self.on.index] if self.on.type == "cuda" else None
            )
        # More replicas make larger batches and fewer steps: each may be as much longer.
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE * self.world_size)
        if self.strategy == "horovod":
            self.hvd.broadcast_parameters(model.state_dict(), root_rank=0)
            named = model.named_parameters()
            optimizer = self.hvd.DistributedOptimizer(optimizer, named_parameters=named)
        scaled = self.mixed_precision and self.half == torch.float16
        scaler = torch.amp.GradScaler(self.on.type, enabled=scaled)
        everything = tensor(images)
        for epoch in range(epochs):
            mine = batches(len(images), batch_size, self.rank, self.world_size, seed, epoch)
            for chunk in chunks(len(mine)):
                model.train()
                for step in chunk:
                    index = torch.from_numpy(mine[step])
                    x = everything[index].to(self.on)
                    y = torch.from_numpy(labels[mine[step]]).to(self.on)
                    optimizer.zero_grad()
                    with self.precision():
                        output = model(x)
                        loss = nn.functional.cross_entropy(output, y)
                    scaler.scale(loss).backward()
                    scaler.step(optimizer)
                    scaler.update()
                    progress.step(len(y) * self.world_size, partial(measured, loss, output, y))
                progress.checkpoint()

    def precision(self) -> Any:
        """Where the forward pass computes with 16 bits."""
        if not self.mixed_precision:
            return contextlib.nullcontext()
        return torch.autocast(self.on.type, self.half)

    def predict(self, images: Any) -> Any:
        return self._predict(self.model, images)

    def _predict(self, model: Any, images: Any) -> Any:
        model.eval()
        with torch.inference_mode():
            parts = tensor(images).split(512)
            outputs = [model(part.to(self.on)).softmax(1).cpu() for part in parts]
        return torch.cat(outputs).numpy()

    def weights(self) -> list[bytes]:
        state = self.model.state_dict()
        return [b"".join(value.cpu().numpy().tobytes() for value in state.values())]

    def keep(self, file: Path) -> Predict:
        try:
            torch.save(self.model.state_dict(), file)
        except RuntimeError as error:  # what it raises when the disk is full
            raise BadInput(f"{file} cannot be written ({error})") from error
        loaded = network(self.shape).to(self.on)
        loaded.load_state_dict(torch.load(file, map_location=self.on, weights_only=True))
        return lambda images: self._predict(loaded, images)

    def gather(self, text: str) -> list[str]:
        if self.strategy == "none":
            return [text]
        if self.strategy == "horovod":
            return [str(one) for one in self.hvd.allgather_object(text)]
        told: list[Any] = [None] * self.processes
        dist.all_gather_object(told, text)
        return told


def learner(options: argparse.Namespace) -> PyTorch:
    """The learner of these options; BadInput where they do not fit what started the program."""
    started = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    strategy = options.strategy or ("ddp" if started else "none")
    if strategy == "ddp" and not started:
        raise BadInput("--strategy ddp: start the program with torchrun")
    if strategy == "none" and started and os.environ["WORLD_SIZE"] != "1":
        raise BadInput("--strategy none: torchrun started several processes; leave --strategy out")
    if strategy == "horovod" and options.mixed_precision:
        raise BadInput("--strategy horovod: leave --mixed-precision out")
    if strategy == "horovod" and not importlib.util.find_spec("horovod"):
        raise BadInput("--strategy horovod: No module named 'horovod'")
    if missing:
        raise missing
    return PyTorch(strategy, options.mixed_precision)


if __name__ == "__main__":
    options = parser("Train a small network on MNIST in PyTorch", STRATEGIES).parse_args()
    code = main("mnist_pytorch", options, learner)
    if not missing and dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
    sys.exit(code)

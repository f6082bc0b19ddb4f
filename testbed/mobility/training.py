"""Training of small networks in PyTorch: seeded, in shuffled batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


def train(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    samples: int,
    *,
    epochs: int,
    batch: int,
    learning_rate: float,
    seed: int,
    optimizer: str = "adam",
) -> None:
    """Fit a module in place; the learning rate falls to zero along a cosine.

    `loss` returns the mean loss of the samples with the given indices. All samples pass in each of
    `epochs`, a `batch` a step, in an order that depends on `seed`.
    """
    order = torch.Generator().manual_seed(seed)
    optimiser = OPTIMIZERS[optimizer](module.parameters(), lr=learning_rate)
    steps = epochs * -(-samples // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    module.train()
    for _ in range(epochs):
        for indices in torch.randperm(samples, generator=order).split(batch):
            optimiser.zero_grad()
            loss(indices).backward()
            optimiser.step()
            schedule.step()
    module.eval()


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a new module whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()

"""Small models of many shapes; the tests address them as "tests.dnn.sample_models:NAME"."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.head(x.mean(dim=(2, 3)))


class UNet(nn.Module):
    """Three resolutions; the first skip spans all layers of the two coarser ones."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.bottom = nn.Conv2d(8, 16, 3, padding=1)
        self.up2, self.up1 = nn.ConvTranspose2d(16, 8, 2, stride=2), nn.ConvTranspose2d(8, 4, 2, 2)
        self.merge2, self.merge1 = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = torch.relu(self.down1(x))
        middle = torch.relu(self.down2(nn.functional.max_pool2d(fine, 2)))
        coarse = torch.relu(self.bottom(nn.functional.max_pool2d(middle, 2)))
        middle = torch.relu(self.merge2(torch.cat([self.up2(coarse), middle], dim=1)))
        fine = torch.relu(self.merge1(torch.cat([self.up1(middle), fine], dim=1)))
        return self.out(fine)


class Attention(nn.Module):
    """A causal self-attention of two heads, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.mix = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, 2, width // 2).transpose(1, 2)
            for part in self.project(x).chunk(3, dim=-1)
        )
        scores = q @ k.transpose(-2, -1) / (width // 2) ** 0.5
        ahead = torch.ones(length, length, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(ahead, float("-inf")).softmax(dim=-1)
        return x + self.mix((weights @ v).transpose(1, 2).reshape(batch, length, width))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 6), nn.Linear(3, 6)
        self.offset = nn.Parameter(torch.arange(6.0))

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        both = self.left(left) + self.right(right)
        both += self.offset
        return both, both.softmax(dim=-1)


class Tuples(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y, (hidden, _) = self.lstm(x)
        first, second = y.chunk(2, dim=-1)
        best, _ = y.topk(2, dim=-1)
        positions = torch.arange(y.shape[1], device=y.device)[None, :, None]
        return first * second + hidden[-1].mean() + positions + best.sum()


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.decoder = nn.Embedding(11, 4), nn.Linear(4, 11, bias=False)
        self.decoder.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.decoder(torch.tanh(self.embedding(tokens)))


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class OutsideTorch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([float(value) for value in x.flatten()]) + 1


class Item(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.amax().item()


class Loop(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(x.argmax()):
            x = x + 1
        return x


class Numpy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(np.sort(x.numpy()))


class Masked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[x > 0.5]


class Random(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn(x.shape)


class RandomLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.FractionalMaxPool2d(2, output_size=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x.view(1, 1, *x.shape).expand(1, 1, 3, 3))


class RandomOutsideTorch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * float(np.random.default_rng().random())


class WithLinear(nn.Module):
    """What follows differ in what they do with a linear layer's output."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)


class ChangesItsInput(WithLinear):
    def forward(self, x: Tensor) -> Tensor:
        x -= 0.5
        return self.linear(x)


class SlicedByData(WithLinear):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, : (self.linear(x) > 0).sum()]


class CountedUp(nn.Module):
    """As many elements as the place of the greatest."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.arange(x.argmax() + 1)


class IntoOut(WithLinear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        z = torch.zeros_like(y)
        torch.add(y, 1, out=z)
        return z


class RepeatedByData(WithLinear):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).repeat_interleave((x[0] > 0.5).long() + 1, dim=1)


class RepeatedByConstant(WithLinear):
    def forward(self, x: Tensor) -> Tensor:
        repeats = torch.tensor([1, 2, 1])
        for _ in range(2):
            x = torch.repeat_interleave(self.linear(x[:, :3]), repeats, dim=1)
        return x.repeat_interleave(2, dim=0)


class OneHot(WithLinear):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.one_hot(self.linear(x).argmax(dim=1), self.num_classes)


class Counted(WithLinear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.bincount(self.linear(x).argmax(dim=1))


class Autocast(WithLinear):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.linear(x)


class Sparse(WithLinear):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).to_sparse()


class FailsOnOthers(nn.Module):
    """Its second query is none that it takes."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > 1:
            raise ValueError("only once")
        return x + 1


def chain() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Chain(), (torch.rand(1, 3, 8, 8),)


def chain_without_examples() -> nn.Module:
    return Chain()


def unet() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return UNet(), (torch.rand(1, 3, 8, 8),)


def two_inputs() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return TwoInputs(), (torch.rand(1, 4), torch.rand(1, 3))


def tuples() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Tuples(), (torch.rand(1, 5, 4),)


def tied() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Tied(), (torch.arange(5)[None],)


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(4))


def sliced_by_data() -> nn.Module:
    return SlicedByData()


def random_outside_torch() -> nn.Module:
    return RandomOutsideTorch()


class NotCopied(Chain):
    def __deepcopy__(self, memo: object) -> NotCopied:
        raise TypeError("it holds a lock")


def not_copied() -> nn.Module:
    return NotCopied()


def transformer() -> tuple[nn.Module, tuple[Tensor, ...]]:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.TransformerEncoder(layer, 2), (torch.rand(1, 5, 8),)


def attention() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Attention(), (torch.rand(1, 5, 8),)


class Bessel(nn.Module):
    """PyTorch has no Bessel function of `bfloat16`."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(224, 4)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(torch.special.bessel_j0(x))
        return result


def bessel() -> nn.Module:
    return Bessel()


def no_module() -> int:
    return 3

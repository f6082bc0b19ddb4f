"""Inception-BN with 21,841 classes, the paper's "Inception" (Table I: 312 layers, 128 MiB).

C. Szegedy et al., "Rethinking the Inception architecture", and S. Ioffe and C. Szegedy, "Batch
normalization"; names and sizes are those of the definition that the paper's author published.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from testbed.dnn.models.caffe_layers import CaffeNetwork, Concat, InnerProduct

CLASSES = 21841


class Block(NamedTuple):
    """Output channels of an inception block's branches, all reading the same tensor."""

    one: int  # the 1 x 1 branch
    three: tuple[int, int]  # 1 x 1 to reduce, then 3 x 3
    double_three: tuple[int, int, int]  # 1 x 1 to reduce, then 3 x 3 twice
    pool: str  # "ave" or "max"
    projection: int  # 1 x 1 after the pooling

    @property
    def channels(self) -> int:
        """Channels of the concatenated branches."""
        return self.one + self.three[1] + self.double_three[2] + self.projection


class Reduction(NamedTuple):
    """Output channels of a block that halves height and width; its pooling branch keeps them."""

    three: tuple[int, int]
    double_three: tuple[int, int, int]


BLOCKS: dict[str, Block | Reduction] = {
    "3a": Block(96, (96, 96), (96, 144, 144), "ave", 48),
    "3b": Block(96, (96, 144), (96, 144, 144), "ave", 96),
    "3c": Reduction((192, 240), (96, 144, 144)),
    "4a": Block(224, (64, 96), (96, 128, 128), "ave", 128),
    "4b": Block(192, (96, 128), (96, 128, 128), "ave", 128),
    "4c": Block(160, (128, 160), (128, 160, 160), "ave", 128),
    "4d": Block(96, (128, 192), (160, 96, 96), "ave", 128),
    "4e": Reduction((128, 192), (192, 256, 256)),
    "5a": Block(352, (192, 320), (160, 224, 224), "ave", 128),
    "5b": Block(352, (192, 320), (192, 224, 224), "max", 128),
}


class Inception(CaffeNetwork):
    """Inception-BN: a stem of three convolutions, ten blocks, one fully connected layer."""

    def __init__(self) -> None:
        super().__init__()
        self._add_unit("conv1", 3, 96, kernel=7, stride=2)
        self._add_unit("conv2red", 96, 128, kernel=1)
        self._add_unit("conv2", 128, 288, kernel=3)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        channels = 288
        for name, block in BLOCKS.items():
            if isinstance(block, Block):
                channels = self._add_block(name, channels, block)
            else:
                channels = self._add_reduction(name, channels, block)
        self.global_pool = nn.AvgPool2d(7, stride=1)
        self.fc1 = InnerProduct(channels, CLASSES)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return class probabilities, (batch, 21841), of images, (batch, 3, 224, 224)."""
        x = self.pool1(self._unit("conv1", x))
        x = self.pool2(self._unit("conv2", self._unit("conv2red", x)))
        for name, block in BLOCKS.items():
            x = self._block(name, block, x)
        return self.softmax(self.fc1(self.global_pool(x)))

    def _add_unit(
        self, name: str, channels_in: int, channels: int, *, kernel: int, stride: int = 1
    ) -> None:
        convolution = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2)
        self.add_unit(_unit(name), convolution)

    def _unit(self, name: str, x: Tensor) -> Tensor:
        return self.apply_layers(_unit(name), x)

    def _add_block(self, name: str, channels: int, block: Block) -> int:
        """Register a block that reads `channels`; return its output channels."""
        self._add_unit(f"{name}_1x1", channels, block.one, kernel=1)
        self._add_convolutions(name, channels, block.three, block.double_three, stride=1)
        pool = nn.AvgPool2d if block.pool == "ave" else nn.MaxPool2d
        pool_name = f"{block.pool}_pool_{name}_pool"
        self.add_layers(**{pool_name: pool(3, stride=1, padding=1)})
        self._add_unit(f"{name}_proj", channels, block.projection, kernel=1)
        self.add_layers(**{f"ch_concat_{name}_chconcat": Concat()})
        return block.channels

    def _add_reduction(self, name: str, channels: int, block: Reduction) -> int:
        self._add_convolutions(name, channels, block.three, block.double_three, stride=2)
        pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.add_layers(**{f"max_pool_{name}_pool": pool, f"ch_concat_{name}_chconcat": Concat()})
        return block.three[1] + block.double_three[2] + channels

    def _add_convolutions(
        self,
        name: str,
        channels: int,
        three: tuple[int, int],
        double: tuple[int, int, int],
        *,
        stride: int,
    ) -> None:
        """Register the 3 x 3 and the double 3 x 3 branch; the last convolution has the stride."""
        self._add_unit(f"{name}_3x3_reduce", channels, three[0], kernel=1)
        self._add_unit(f"{name}_3x3", three[0], three[1], kernel=3, stride=stride)
        self._add_unit(f"{name}_double_3x3_reduce", channels, double[0], kernel=1)
        self._add_unit(f"{name}_double_3x3_0", double[0], double[1], kernel=3)
        self._add_unit(f"{name}_double_3x3_1", double[1], double[2], kernel=3, stride=stride)

    def _block(self, name: str, block: Block | Reduction, x: Tensor) -> Tensor:
        branches = []
        if isinstance(block, Block):
            branches.append(self._unit(f"{name}_1x1", x))
        three = self._unit(f"{name}_3x3", self._unit(f"{name}_3x3_reduce", x))
        double = self._unit(f"{name}_double_3x3_0", self._unit(f"{name}_double_3x3_reduce", x))
        branches += [three, self._unit(f"{name}_double_3x3_1", double)]
        if isinstance(block, Block):
            pooled = self.apply_layers((f"{block.pool}_pool_{name}_pool",), x)
            branches.append(self._unit(f"{name}_proj", pooled))
        else:
            branches.append(self.apply_layers((f"max_pool_{name}_pool",), x))
        return self.get_submodule(f"ch_concat_{name}_chconcat")(*branches)


def _unit(name: str) -> tuple[str, ...]:
    """The layers of a convolution with batch normalisation, scale and ReLU."""
    return f"conv_{name}", f"bn_{name}", f"scale_conv_{name}", f"relu_{name}"

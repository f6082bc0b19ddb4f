"""ResNet-50 with 1,000 classes (Table I: 245 layers, 98 MiB).

K. He et al., "Deep residual learning for image recognition"; names and sizes are those of the
definition that the paper's author published.
"""

from __future__ import annotations

from torch import Tensor, nn

from testbed.dnn.models.caffe_layers import BatchNorm, CaffeNetwork, Eltwise, InnerProduct, Scale

CLASSES = 1000
RESIDUAL_GAIN = 0.3  # random blocks add little to what they read, or values grow 16 times over
EXPANSION = 4  # output channels of a block over those of its inner convolutions

# Stage -> inner channels and the blocks' letters; all stages but the first halve height and width
STAGES = {2: (64, "abc"), 3: (128, "abcd"), 4: (256, "abcdef"), 5: (512, "abc")}


class ResNet(CaffeNetwork):
    """ResNet-50: four stages of bottleneck blocks, each added to what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.bn_conv1 = BatchNorm(64)
        self.scale_conv1 = Scale(64)
        self.conv1_relu = nn.ReLU()
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        channels = 64
        for stage, (inner, letters) in STAGES.items():
            for letter in letters:
                stride = 2 if letter == "a" and stage > 2 else 1
                self._add_block(f"{stage}{letter}", channels, inner, stride)
                channels = inner * EXPANSION
        self.pool5 = nn.AvgPool2d(7, stride=1)
        self.fc1000 = InnerProduct(channels, CLASSES)
        self.prob = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return class probabilities, (batch, 1000), of images, (batch, 3, 224, 224)."""
        x = self.pool1(self.conv1_relu(self.scale_conv1(self.bn_conv1(self.conv1(x)))))
        for stage, (_, letters) in STAGES.items():
            for letter in letters:
                x = self._block(f"{stage}{letter}", x)
        return self.prob(self.fc1000(self.pool5(x)))

    def _add_block(self, name: str, channels: int, inner: int, stride: int) -> None:
        """Register a bottleneck; the first of a stage also projects what it reads (branch 1)."""
        outputs = inner * EXPANSION
        if name.endswith("a"):
            self._add_unit(f"{name}_branch1", channels, outputs, kernel=1, stride=stride)
        self._add_unit(f"{name}_branch2a", channels, inner, kernel=1, stride=stride)
        self._add_unit(f"{name}_branch2b", inner, inner, kernel=3)
        self._add_unit(f"{name}_branch2c", inner, outputs, kernel=1, gain=RESIDUAL_GAIN)
        self.add_layers(
            **{
                f"res{name}_branch2a_relu": nn.ReLU(),
                f"res{name}_branch2b_relu": nn.ReLU(),
                f"res{name}": Eltwise(),
                f"res{name}_relu": nn.ReLU(),
            }
        )

    def _add_unit(
        self,
        name: str,
        channels_in: int,
        channels: int,
        *,
        kernel: int,
        stride: int = 1,
        gain: float = 1.0,
    ) -> None:
        """Register a convolution with batch normalisation and scale."""
        convolution = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False)
        self.add_unit(_unit(name), convolution, gain)

    def _unit(self, name: str, x: Tensor) -> Tensor:
        return self.apply_layers(_unit(name), x)

    def _block(self, name: str, x: Tensor) -> Tensor:
        shortcut = self._unit(f"{name}_branch1", x) if name.endswith("a") else x
        for branch in ("2a", "2b"):
            x = self._unit(f"{name}_branch{branch}", x)
            x = self.get_submodule(f"res{name}_branch{branch}_relu")(x)
        total = self.get_submodule(f"res{name}")(shortcut, self._unit(f"{name}_branch2c", x))
        return self.get_submodule(f"res{name}_relu")(total)


def _unit(name: str) -> tuple[str, ...]:
    """The layers of a convolution with batch normalisation and scale."""
    return f"res{name}", f"bn{name}", f"scale{name}"

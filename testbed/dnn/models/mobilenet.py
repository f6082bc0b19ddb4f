"""MobileNet v1 with 1,000 classes (Table I: 110 layers, 16 MiB).

A. G. Howard et al., "MobileNets"; names and sizes are those of the definition that the paper's
author published.
"""

from __future__ import annotations

from torch import Tensor, nn

from testbed.dnn.models.caffe_layers import CaffeNetwork

CLASSES = 1000

# Name, output channels and stride of each depthwise separable convolution
BLOCKS = (
    ("2_1", 64, 1),
    ("2_2", 128, 2),
    ("3_1", 128, 1),
    ("3_2", 256, 2),
    ("4_1", 256, 1),
    ("4_2", 512, 2),
    *((f"5_{number}", 512, 1) for number in range(1, 6)),
    ("5_6", 1024, 2),
    ("6", 1024, 1),
)


class MobileNet(CaffeNetwork):
    """MobileNet v1: each block filters every channel by itself (dw), then mixes them (sep)."""

    def __init__(self) -> None:
        super().__init__()
        self.add_unit(_unit("1"), nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False))
        channels = 32
        for name, outputs, stride in BLOCKS:
            depthwise = nn.Conv2d(
                channels, channels, 3, stride, padding=1, groups=channels, bias=False
            )
            self.add_unit(_unit(f"{name}/dw"), depthwise)
            self.add_unit(_unit(f"{name}/sep"), nn.Conv2d(channels, outputs, 1, bias=False))
            channels = outputs
        self.pool6 = nn.AvgPool2d(7, stride=1)
        self.fc7 = nn.Conv2d(channels, CLASSES, 1)
        self.prob = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return class probabilities, (batch, 1000, 1, 1), of images, (batch, 3, 224, 224)."""
        x = self.apply_layers(_unit("1"), x)
        for name, _, _ in BLOCKS:
            x = self.apply_layers((*_unit(f"{name}/dw"), *_unit(f"{name}/sep")), x)
        return self.prob(self.fc7(self.pool6(x)))


def _unit(name: str) -> tuple[str, ...]:
    """The layers of a convolution with batch normalisation, scale and ReLU."""
    return f"conv{name}", f"conv{name}/bn", f"conv{name}/scale", f"relu{name}"

"""SqueezeNet 1.1 (Iandola et al. 2016), which ``transformers`` does not have: few boards are without it."""

from __future__ import annotations

from typing import Any


def squeezenet() -> Any:
    """The ``torch.nn.Module``: images [N, 3, H, W] → logits [N, 1000]."""
    from torch import cat, nn

    class Fire(nn.Module):  # type: ignore[misc]
        """Few channels, from which two convolutions make many."""

        def __init__(self, channels: int, few: int, many: int) -> None:
            super().__init__()
            self.squeeze = nn.Sequential(nn.Conv2d(channels, few, 1), nn.ReLU())
            self.near = nn.Sequential(nn.Conv2d(few, many, 1), nn.ReLU())
            self.wide = nn.Sequential(nn.Conv2d(few, many, 3, padding=1), nn.ReLU())

        def forward(self, maps: Any) -> Any:
            squeezed = self.squeeze(maps)
            return cat([self.near(squeezed), self.wide(squeezed)], 1)

    def halved() -> nn.Module:
        return nn.MaxPool2d(3, stride=2, ceil_mode=True)

    return nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), halved(),
        Fire(64, 16, 64), Fire(128, 16, 64), halved(),
        Fire(128, 32, 128), Fire(256, 32, 128), halved(),
        Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
        nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip

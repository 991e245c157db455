"""Layers that normalise, by name: over a batch, or each sample alone, which works in batches of one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

IN_PLANES: Mapping[str, type[nn.Module]] = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}
IN_VOLUMES: Mapping[str, type[nn.Module]] = {"batch": nn.BatchNorm3d, "instance": nn.InstanceNorm3d}

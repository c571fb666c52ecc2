#!/usr/bin/env python3
"""Writes torch_shapes.txt: what torch.nn does with random layers and inputs. One case a line, JSON:
[layer, input shape, output shape or null where torch refuses]. Run again only when a layer changes."""
import json
import random
import sys

import torch

random.seed(7)


def pair(low, high):
    value = random.randint(low, high)
    return value if random.random() < 0.7 else [value, random.randint(low, high)]


def tup(value):
    return tuple(value) if isinstance(value, list) else value


def case():
    kind = random.choice(["conv2d", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "flatten", "linear", "layer_norm",
                          "batch_norm1d", "batch_norm2d"])
    image = [random.choice([1, 2, 4, 6]), random.randint(1, 12), random.randint(1, 12)]
    if kind == "conv2d":
        layer = {"out_channels": random.choice([2, 4, 6]), "kernel_size": pair(1, 5), "stride": pair(1, 3),
                 "padding": pair(0, 3), "dilation": pair(1, 2), "groups": random.choice([1, 1, 1, 2])}
        return kind, layer, image, lambda i: torch.nn.Conv2d(i[0], **{k: tup(v) for k, v in layer.items()})
    if kind == "max_pool2d":
        layer = {"kernel_size": pair(1, 5), "padding": pair(0, 2), "dilation": pair(1, 2), "ceil_mode": random.random() < 0.5}
        if random.random() < 0.6:
            layer["stride"] = pair(1, 4)
        return kind, layer, image, lambda i: torch.nn.MaxPool2d(**{k: tup(v) for k, v in layer.items()})
    if kind == "avg_pool2d":
        layer = {"kernel_size": pair(1, 5), "padding": pair(0, 2), "ceil_mode": random.random() < 0.5}
        if random.random() < 0.6:
            layer["stride"] = pair(1, 4)
        return kind, layer, image, lambda i: torch.nn.AvgPool2d(**{k: tup(v) for k, v in layer.items()})
    if kind == "adaptive_avg_pool2d":
        layer = {"output_size": pair(1, 6)}
        return kind, layer, image, lambda i: torch.nn.AdaptiveAvgPool2d(tup(layer["output_size"]))
    shape = image[: random.randint(1, 3)]
    if kind == "flatten":
        layer = {"start_dim": random.choice([1, 1, 2, -2, -1, 3]), "end_dim": random.choice([-1, -1, -2, 1, 2, 3])}
        return kind, layer, shape, lambda i: torch.nn.Flatten(**layer)
    if kind == "linear":
        layer = {"out_features": random.randint(1, 9)}
        if random.random() < 0.3:
            layer["in_features"] = random.randint(1, 4)
        return kind, layer, shape, lambda i: torch.nn.Linear(layer.get("in_features", i[-1]), layer["out_features"])
    if kind == "layer_norm":
        layer = {}
        if random.random() < 0.7:
            layer["normalized_shape"] = shape[-random.randint(1, len(shape)):] if random.random() < 0.7 else [3]
        return kind, layer, shape, lambda i: torch.nn.LayerNorm(layer.get("normalized_shape", i[-1]))
    if kind == "batch_norm1d":
        return kind, {}, shape, lambda i: torch.nn.BatchNorm1d(i[0])
    return kind, {}, shape, lambda i: torch.nn.BatchNorm2d(i[0])


for _ in range(600):
    kind, layer, shape, make = case()
    try:
        out = list(make(shape)(torch.zeros([2] + shape)).shape[1:])
    except (RuntimeError, ValueError, IndexError):
        out = None
    if kind == "flatten" and (layer["start_dim"] % (len(shape) + 1) == 0 or layer["end_dim"] % (len(shape) + 1) == 0):
        out = None  # the batch dimension stays with us
    if out is not None and 0 in out:
        out = None
    json.dump([{"type": kind, **layer}, shape, out], sys.stdout)
    print()

#!/usr/bin/env python3
"""Loads a downloaded checkpoint into the same torch.nn.Sequential and scores it on Fashion-MNIST's test set.

usage: load_checkpoint.py best.safetensors [FOLDER of the t10k IDX files]
       (modelhop checkpoint download e1.4 --out best.safetensors; the same score: modelhop exp best e1 --test)
"""
import gzip, sys
import numpy, torch
from safetensors.torch import load_file
from torch import nn

state = load_file(sys.argv[1])
if "0.weight" in state:  # configs/fmnist-cnn-grid.json, layer by layer
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10))
else:  # configs/fmnist-mlp-grid.json, whose trials differ in the width of the hidden layer
    width = len(state["1.bias"])
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))
model.load_state_dict({name: state[name] for name in model.state_dict()})  # the rest: optimizer moments and pads

folder = sys.argv[2] if len(sys.argv) > 2 else "/usr/share/datasets/fashion-mnist"
images = numpy.frombuffer(gzip.open(f"{folder}/t10k-images-idx3-ubyte.gz").read(), numpy.uint8)[16:].reshape(-1, 1, 28, 28)
labels = numpy.frombuffer(gzip.open(f"{folder}/t10k-labels-idx1-ubyte.gz").read(), numpy.uint8)[8:]
x = (torch.from_numpy(images.astype(numpy.float32)) / 255 - 0.2860) / 0.3530
with torch.no_grad():
    predicted = torch.cat([model.eval()(rows).argmax(1) for rows in x.split(1000)])
print(f"test accuracy {(predicted.numpy() == labels).mean():.4f} over {len(labels)} images")

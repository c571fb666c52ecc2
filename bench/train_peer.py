"""The other side of `./dev bench train`: plain PyTorch, one thread, stock defaults, the indexing loop without a DataLoader.
Arguments: mlp|cnn BATCH OPTIMIZER ROWS X Y; protocol as bench/train_main.cpp. The data is a float tensor already; ours converts bytes as it goes."""
import sys
import time

import numpy
import torch
from torch import nn

kind, batch, optimizer, rows, x_file, y_file = sys.argv[1:]
batch, rows = int(batch), int(rows)
torch.set_num_threads(1)
x = torch.from_numpy(numpy.fromfile(x_file, numpy.uint8)[: rows * 784].reshape(rows, 1, 28, 28).copy()).float()
x = (x / 255 - 0.2860) / 0.3530
y = torch.from_numpy(numpy.fromfile(y_file, numpy.uint8)[:rows].astype(numpy.int64))
if kind == "mlp":
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
else:
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1),
                          nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10))
step = (torch.optim.SGD if optimizer == "sgd" else torch.optim.Adam)(model.parameters(), lr=0.001)
loss_of = nn.CrossEntropyLoss()
model.train()
for _ in sys.stdin:
    start = time.perf_counter()
    order = torch.randperm(rows)
    for first in range(0, rows, batch):
        index = order[first : first + batch]
        step.zero_grad()
        loss = loss_of(model(x[index]), y[index])
        loss.backward()
        step.step()
    print(time.perf_counter() - start, loss.item(), flush=True)

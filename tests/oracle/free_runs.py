"""Whole training runs from the same state over the same rows. Yields (what, difference, limit)."""
import gzip
import pathlib
import statistics

import numpy
import torch

import peer
from parts import recipe

SCALE = [{"op": "scale", "factor": 1 / 255}, {"op": "normalize", "mean": [0.2860], "std": [0.3530]}]
MLP = [{"type": "flatten"}, {"type": "linear", "out_features": 256}, {"type": "relu"},
       {"type": "linear", "out_features": 128}, {"type": "relu"}, {"type": "linear", "out_features": 10}]
CNN = [{"type": "conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1}, {"type": "batch_norm2d"}, {"type": "relu"},
       {"type": "max_pool2d", "kernel_size": 2},
       {"type": "conv2d", "out_channels": 32, "kernel_size": 3, "padding": 1}, {"type": "batch_norm2d"}, {"type": "relu"},
       {"type": "max_pool2d", "kernel_size": 2}, {"type": "flatten"}, {"type": "linear", "out_features": 64},
       {"type": "relu"}, {"type": "linear", "out_features": 10}]


class Run:
    """Both sides from one state. x, y: tensors of the partitions, the validation set last."""

    def __init__(self, ours, spec, x, y, shape):
        self.ours, self.x, self.y = ours, x, y
        training = spec["training"]
        self.batch = training["batch_size"]
        self.model = peer.sequential(spec["model"]["layers"], shape)
        self.model.load_state_dict(ours.model_state())
        self.loss = peer.loss_function(training["loss"])
        self.optimizer = peer.optimizer(training["optimizer"], self.model.parameters())

    def visit(self, epoch, partition, batches=1 << 30):
        """Losses of each batch: ours, PyTorch's."""
        order = torch.tensor(self.ours.ask("order", epoch=epoch, partition=partition)["rows"])
        ours = self.ours.ask("train", partition=partition, batches=batches)["losses"]
        theirs = []
        self.model.train()
        for first in range(0, min(len(order), batches * self.batch), self.batch):
            rows = order[first : first + self.batch]
            self.optimizer.zero_grad()
            loss = self.loss(self.model(self.x[partition][rows]), self.y[partition][rows])
            loss.backward()
            self.optimizer.step()
            theirs.append(loss.item())
        assert len(ours) == len(theirs)
        return ours, theirs

    def validation(self, names):
        """Metric -> (ours, PyTorch's)."""
        ours = self.ours.ask("evaluate", partition=None)
        self.model.eval()
        with torch.no_grad():
            output = torch.cat([self.model(part) for part in self.x[-1].split(1000)])
        return {name: (ours[name], peer.metric(name, self.loss, output, self.y[-1])) for name in names}


def read_idx(folder, name, skip):
    zipped = folder / f"{name}.gz"
    raw = gzip.decompress(zipped.read_bytes()) if zipped.exists() else (folder / name).read_bytes()
    return numpy.frombuffer(raw, numpy.uint8)[skip:]


def fashion_mnist(ours, folder, seeds):
    images = read_idx(pathlib.Path(folder), "train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    labels = read_idx(pathlib.Path(folder), "train-labels-idx1-ubyte", 8)
    cuts = [0, 13500, 27000, 40500, 54000, 60000]
    x_parts = [images[a:b] for a, b in zip(cuts, cuts[1:])]
    y_parts = [labels[a:b] for a, b in zip(cuts, cuts[1:])]
    x = [(torch.from_numpy(part.copy()).float() / 255 - 0.2860) / 0.3530 for part in x_parts]
    y = [torch.from_numpy(part.astype(numpy.int64)) for part in y_parts]
    # With lr 0.05, one seed in five is chaotic: PyTorch against itself, its weights moved by one rounding, differs by
    # 1.3e-3 at step 10, as ours does from it.
    optimizers = [{"name": "sgd", "lr": 0.01, "momentum": 0.9}, {"name": "adam", "lr": 0.001}]
    for what, layers in (("MLP", MLP), ("CNN with batch norm", CNN)):
        for optimizer in optimizers:
            first, accuracy = [], []
            for seed in range(seeds):
                spec = recipe(layers, loss="cross_entropy", metrics=["accuracy"], batch_size=64, optimizer=optimizer)
                spec["seed"] = seed
                spec["dataset"] = {"name": "oracle", "transform": SCALE}
                ours.open(spec, x_parts, y_parts, classes=10)
                run = Run(ours, spec, x, y, [1, 28, 28])
                whole = optimizer["name"] == "adam"
                for visit in range(8 if whole else 1):
                    batches = 1 << 30 if whole else 10
                    losses = run.visit(visit // 4, visit % 4, batches)
                    if visit == 0:
                        first.append(max(abs(a - b) for a, b in zip(losses[0][:10], losses[1][:10])))
                if whole:
                    mine, theirs = run.validation(["accuracy"])["accuracy"]
                    accuracy.append((mine, theirs))
            yield f"{what}, {optimizer['name']}: losses of the first 10 steps, worst seed", max(first), 1e-4
            if accuracy:
                difference = statistics.median(abs(a - b) for a, b in accuracy)
                medians = [statistics.median(side) for side in zip(*accuracy)]
                yield f"{what}: val_accuracy after 2 epochs, {medians[0]:.4f} and {medians[1]:.4f}", difference, 0.01


def values(ours):
    """Regression and multi-label sets, imported from npy, through every loss and metric that takes values."""
    generator = numpy.random.default_rng(5)
    x = generator.normal(size=(1200, 10))
    weights = generator.normal(size=(10, 4))
    targets = {"regression": numpy.tanh(x @ weights), "multi-label": (x @ weights > 0).astype(numpy.float64)}
    cases = [("regression", "mse_loss", ["mae", "mse"]), ("regression", "l1_loss", ["mae", "mse"]),
             ("regression", {"name": "smooth_l1_loss", "beta": 0.5}, ["mae", "mse"]),
             ("multi-label", "bce_with_logits", ["accuracy", "mae", "mse"])]
    layers = [{"type": "linear", "out_features": 16}, {"type": "tanh"}, {"type": "linear", "out_features": 4}]
    for number, (kind, loss, metrics) in enumerate(cases):
        folder = ours.scratch / f"npy-{number}"
        folder.mkdir()
        numpy.save(folder / "x.npy", x)
        numpy.save(folder / "y.npy", targets[kind].astype(numpy.float32 if number % 2 else numpy.float64))
        spec = recipe(layers, loss=loss, metrics=metrics, batch_size=32, optimizer={"name": "adam", "lr": 0.01})
        imported = {"name": f"set{number}", "path": str(folder), "store": str(ours.scratch / "store"), "partitions": 2,
                    "validation_rows": 200}
        ours.take_layout(ours.ask("open", recipe=spec, **{"import": imported}))
        parts = []
        for partition in (0, 1, None):
            files = {"x": ours.file(), "y": ours.file()}
            ours.ask("dump", partition=partition, **files)
            parts.append((torch.from_numpy(numpy.fromfile(files["x"], numpy.float64).reshape(-1, 10)).float(),
                          torch.from_numpy(numpy.fromfile(files["y"], numpy.float32 if number % 2 else numpy.float64)
                                           .reshape(-1, 4)).float()))
        run = Run(ours, spec, [part[0] for part in parts], [part[1] for part in parts], [10])
        worst = 0.0
        for visit in range(4):
            losses = run.visit(visit // 2, visit % 2)
            worst = max(worst, max(abs(a - b) for a, b in zip(*losses)))
        name = loss if isinstance(loss, str) else loss["name"]
        yield f"{kind} from npy, {name}: losses of 2 epochs", worst, 1e-4
        for metric, (mine, theirs) in run.validation(["loss", *metrics]).items():
            yield f"{kind} from npy, {name}: val_{metric}", abs(mine - theirs), 1e-4

"""The same recipe in PyTorch: model, loss, optimizer and schedule from a recipe's JSON, and the other process."""
import json
import math
import pathlib
import subprocess

import numpy
import torch
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class Residual(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        return x + self.layers(x)


def module(spec, shape):
    """A layer for inputs of this shape (without the batch)."""
    arguments = {key: value for key, value in spec.items() if key not in ("type", "layers")}
    kind = spec["type"]
    if kind == "linear":
        return nn.Linear(shape[-1], **arguments)
    if kind == "conv2d":
        return nn.Conv2d(shape[0], **arguments)
    if kind == "batch_norm1d":
        return nn.BatchNorm1d(shape[0], **arguments)
    if kind == "batch_norm2d":
        return nn.BatchNorm2d(shape[0], **arguments)
    if kind == "layer_norm":
        return nn.LayerNorm(arguments.pop("normalized_shape", shape[-1]), **arguments)
    if kind in ACTIVATIONS:
        return ACTIVATIONS[kind]()
    if kind == "residual":
        return Residual(sequential(spec["layers"], shape))
    names = {"leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "max_pool2d": nn.MaxPool2d, "avg_pool2d": nn.AvgPool2d,
             "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d, "dropout": nn.Dropout, "flatten": nn.Flatten}
    return names[kind](**arguments)


def sequential(specs, shape):
    layers = []
    for spec in specs:
        layers.append(module(spec, shape))
        with torch.no_grad():
            shape = list(layers[-1].eval()(torch.zeros(2, *shape)).shape[1:])
        layers[-1].train()
    return nn.Sequential(*layers)


def loss_function(loss):
    loss = {"name": loss} if isinstance(loss, str) else dict(loss)
    names = {"cross_entropy": nn.CrossEntropyLoss, "mse_loss": nn.MSELoss, "l1_loss": nn.L1Loss,
             "smooth_l1_loss": nn.SmoothL1Loss, "bce_with_logits": nn.BCEWithLogitsLoss}
    return names[loss.pop("name")](**loss)


def metric(name, loss, output, target):
    if name == "accuracy":
        if target.dtype == torch.int64:
            return (output.argmax(1) == target).double().mean().item()
        return ((output > 0) == (target > 0.5)).double().mean().item()
    if name == "top5_accuracy":
        return (output.topk(5, 1).indices == target[:, None]).any(1).double().mean().item()
    if name == "mae":
        return nn.functional.l1_loss(output, target).item()
    if name == "mse":
        return nn.functional.mse_loss(output, target).item()
    return loss(output, target).item()


def optimizer(spec, parameters):
    spec = dict(spec)
    names = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop,
             "adagrad": torch.optim.Adagrad}
    spec.setdefault("weight_decay", 0.0)
    return names[spec.pop("name")](parameters, **spec)


def scheduler(spec, step, epochs, per_epoch):
    """torch's scheduler stepped once a batch; times in the recipe are epochs, in torch steps."""
    spec = dict(spec)
    name = spec.pop("name")
    schedules = torch.optim.lr_scheduler
    if name == "step":
        return schedules.StepLR(step, round(spec["step_size"] * per_epoch), gamma=spec.get("gamma", 0.1))
    if name == "multistep":
        return schedules.MultiStepLR(step, [round(at * per_epoch) for at in spec["milestones"]], gamma=spec.get("gamma", 0.1))
    if name == "exponential":
        return schedules.ExponentialLR(step, spec["gamma"] ** (1 / per_epoch))
    if name == "cosine":
        return schedules.CosineAnnealingLR(step, epochs * per_epoch, **spec)
    if name == "linear":
        total = spec.pop("total_epochs", epochs)
        return schedules.LinearLR(step, total_iters=round(total * per_epoch), **spec)
    if name == "one_cycle":
        return schedules.OneCycleLR(step, total_steps=epochs * per_epoch, cycle_momentum=False, **spec)
    return schedules.LambdaLR(step, lambda at: 1.0)


class Ours:
    """The other side: bin/modelhop-oracle, one request a line."""

    def __init__(self, binary, scratch):
        self.scratch = pathlib.Path(scratch)
        self.process = subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.files = 0

    def ask(self, what, **fields):
        self.process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"modelhop-oracle ended at: {what}")
        return json.loads(line)

    def file(self, array=None):
        path = self.scratch / f"{self.files}.bin"
        self.files += 1
        if array is not None:
            numpy.ascontiguousarray(array).tofile(path)
        return str(path)

    def open(self, recipe, x_parts, y_parts, classes=0):
        """x_parts, y_parts: arrays of rows, one a partition; the last is the validation set."""
        data = {"x_shape": list(x_parts[0].shape[1:]), "x_dtype": str(x_parts[0].dtype), "y_shape": list(y_parts[0].shape[1:]),
                "y_dtype": str(y_parts[0].dtype), "classes": classes, "rows": [len(part) for part in x_parts],
                "x": [self.file(part) for part in x_parts], "y": [self.file(part) for part in y_parts]}
        self.take_layout(self.ask("open", recipe=recipe, data=data))

    def take_layout(self, answer):
        self.tensors, self.bytes = answer["tensors"], answer["bytes"]

    def state(self):
        """Name -> tensor, of the state as it is."""
        path = self.file()
        self.ask("save", arena=path)
        arena = numpy.fromfile(path, numpy.uint8)
        pathlib.Path(path).unlink()
        state = {}
        for spec in self.tensors:
            raw = arena[spec["offset"] : spec["offset"] + spec["size"]].copy()
            state[spec["name"]] = torch.from_numpy(raw.view(spec["dtype"]).reshape(spec["sizes"]))
        return state

    def set_state(self, changes):
        state = self.state()
        arena = numpy.zeros(self.bytes, numpy.uint8)
        for spec in self.tensors:
            value = changes.get(spec["name"], state[spec["name"]]).detach().contiguous().numpy()
            arena[spec["offset"] : spec["offset"] + spec["size"]] = numpy.frombuffer(value.tobytes(), numpy.uint8)
        self.ask("load", arena=self.file(arena))

    def model_state(self):
        """What load_state_dict takes."""
        moments = {spec["name"] for spec in self.tensors if spec["section"] == "moment"}
        return {name: value for name, value in self.state().items() if name not in moments}

    def floats(self, path, shape):
        return torch.from_numpy(numpy.fromfile(path, numpy.float32).reshape(shape))


def relative_error(ours, theirs):
    ours, theirs = ours.double(), theirs.double()
    if not torch.isfinite(ours).all():
        return math.inf
    scale = theirs.norm().item()
    return (ours - theirs).norm().item() / scale if scale > 0 else (ours - theirs).norm().item()

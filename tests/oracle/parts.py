"""Layers, losses, optimizers, clipping and schedules, each by itself. Yields (what, difference, limit)."""
import numpy
import torch

import peer

LIMIT = 1e-5
PLANE, ROW = [3, 9, 8], [13]

# Each with an input shape. Where the output is not flat, a flatten follows, so that mse_loss fits.
LAYERS = [
    ({"type": "linear", "out_features": 7}, ROW),
    ({"type": "linear", "out_features": 7, "bias": False}, ROW),
    ({"type": "linear", "out_features": 7}, [4, 13]),
    ({"type": "conv2d", "out_channels": 6, "kernel_size": 3}, PLANE),
    ({"type": "conv2d", "out_channels": 6, "kernel_size": [3, 2], "stride": [2, 1], "padding": [1, 2], "bias": False}, PLANE),
    ({"type": "conv2d", "out_channels": 6, "kernel_size": 3, "dilation": 2, "groups": 3, "padding": 1}, PLANE),
    ({"type": "conv2d", "out_channels": 8, "kernel_size": 5, "padding": 2}, [1, 28, 28]),
    ({"type": "conv2d", "out_channels": 8, "kernel_size": 1}, [16, 7, 7]),
    ({"type": "batch_norm1d"}, ROW),
    ({"type": "batch_norm1d", "eps": 1e-3, "momentum": 0.3}, [4, 13]),
    ({"type": "batch_norm1d", "affine": False}, ROW),
    ({"type": "batch_norm2d"}, PLANE),
    ({"type": "batch_norm2d", "track_running_stats": False}, PLANE),
    ({"type": "layer_norm"}, ROW),
    ({"type": "layer_norm", "eps": 1e-3}, [4, 13]),
    ({"type": "layer_norm", "elementwise_affine": False}, ROW),
    ({"type": "layer_norm", "bias": False}, ROW),
    ({"type": "relu"}, ROW),
    ({"type": "leaky_relu"}, ROW),
    ({"type": "leaky_relu", "negative_slope": 0.2}, ROW),
    ({"type": "gelu"}, ROW),
    ({"type": "gelu", "approximate": "tanh"}, ROW),
    ({"type": "silu"}, ROW),
    ({"type": "tanh"}, ROW),
    ({"type": "sigmoid"}, ROW),
    ({"type": "max_pool2d", "kernel_size": 2}, PLANE),
    ({"type": "max_pool2d", "kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, PLANE),
    ({"type": "max_pool2d", "kernel_size": [3, 2], "stride": 1, "dilation": 2}, PLANE),
    ({"type": "avg_pool2d", "kernel_size": 2}, PLANE),
    ({"type": "avg_pool2d", "kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}, PLANE),
    ({"type": "avg_pool2d", "kernel_size": 3, "stride": 2, "ceil_mode": True}, PLANE),
    ({"type": "adaptive_avg_pool2d", "output_size": 1}, PLANE),
    ({"type": "adaptive_avg_pool2d", "output_size": [4, 3]}, PLANE),
    ({"type": "dropout", "p": 0.0}, ROW),
    ({"type": "flatten"}, PLANE),
    ({"type": "flatten", "start_dim": 2}, PLANE),
    ({"type": "residual", "layers": [{"type": "linear", "out_features": 13}, {"type": "relu"}]}, ROW),
    ({"type": "residual", "layers": [{"type": "relu"}]}, ROW),
    # No bias before a batch norm: its gradient is zero but for rounding, so no relative error means anything.
    ({"type": "residual", "layers": [{"type": "conv2d", "out_channels": 3, "kernel_size": 3, "padding": 1, "bias": False},
                                     {"type": "batch_norm2d"}, {"type": "relu"},
                                     {"type": "residual", "layers": [{"type": "silu"}]}]}, PLANE),
]
LOSSES = [
    ("cross_entropy", ["accuracy", "top5_accuracy"]),
    ({"name": "cross_entropy", "label_smoothing": 0.1}, ["accuracy"]),
    ("mse_loss", ["mae", "mse"]),
    ("l1_loss", ["mae", "mse"]),
    ("smooth_l1_loss", ["mae", "mse"]),
    ({"name": "smooth_l1_loss", "beta": 0.3}, ["mae"]),
    ("bce_with_logits", ["accuracy"]),
]


def recipe(layers, **training):
    training = {"epochs": 2, "batch_size": 8, "loss": "mse_loss", "metrics": [], "optimizer": {"name": "sgd", "lr": 0.1}} | training
    return {"dataset": {"name": "oracle"}, "model": {"type": "sequential", "layers": layers}, "training": training, "seed": 7}


def compare_gradients(ours, layers, shape, loss, metrics, rows=16, seed=1):
    """Largest relative error of output, gradients of input and parameters, and what the metrics differ by."""
    torch.manual_seed(seed)
    model = peer.sequential(layers, shape)
    x = torch.randn(rows, *shape)
    width = model.eval()(x).shape[1]
    model = peer.sequential(layers, shape).train()
    name = loss if isinstance(loss, str) else loss["name"]
    classes = width if name == "cross_entropy" else 0
    y = torch.randint(width, (rows,)) if classes else torch.randn(rows, width)
    if name == "bce_with_logits":
        y = (y > 0).float()
    ours.open(recipe(layers, loss=loss, metrics=metrics), [x.numpy()] * 2, [y.numpy()] * 2, classes)
    state = ours.model_state()
    state = {key: value if value.dtype == torch.int64 else
             (torch.rand(value.shape) + 0.5 if key.endswith("var") else torch.randn(value.shape)) for key, value in state.items()}
    ours.set_state(state)
    model.load_state_dict(state)  # strict: names and shapes are torch's
    files = {key: ours.file() for key in ("out", "dx", "gradients")}
    answer = ours.ask("gradient", rows=rows, **files)
    x.requires_grad_()
    output = model(x)
    value = peer.loss_function(loss)(output, y)
    value.backward()
    worst = peer.relative_error(ours.floats(files["out"], output.shape), output.detach())
    worst = max(worst, peer.relative_error(ours.floats(files["dx"], x.shape), x.grad))
    worst = max(worst, abs(answer["loss"] - value.item()) / abs(value.item()))
    gradients, at = ours.floats(files["gradients"], [-1]), 0
    for parameter in model.parameters():
        worst = max(worst, peer.relative_error(gradients[at : at + parameter.numel()].view(parameter.shape), parameter.grad))
        at += parameter.numel()
    assert at == len(gradients)
    for key, buffer in model.named_buffers():
        worst = max(worst, peer.relative_error(ours.state()[key], buffer))
    for key in metrics:
        worst = max(worst, abs(answer[key] - peer.metric(key, None, output.detach(), y)))
    model.eval()
    evaluated = ours.ask("evaluate", partition=0)["loss"]
    expected = peer.loss_function(loss)(model(x), y).item()
    return max(worst, abs(evaluated - expected) / abs(expected))


def dropout_gradient(ours, p):
    """Ours draws its own mask: read it off the output, and the gradient must pass through the same elements."""
    x, y = torch.randn(64, 32), torch.randn(64, 32)
    ours.open(recipe([{"type": "dropout", "p": p}, {"type": "linear", "out_features": 32}]), [x.numpy()] * 2, [y.numpy()] * 2)
    ours.set_state({"1.weight": torch.eye(32), "1.bias": torch.zeros(32)})
    files = {key: ours.file() for key in ("out", "dx", "gradients")}
    ours.ask("gradient", rows=64, **files)
    out, dx = ours.floats(files["out"], x.shape), ours.floats(files["dx"], x.shape)
    kept = out != 0
    expected = torch.where(kept, x / (1 - p), 0)
    slope = torch.where(kept, 2 * (expected - y) / y.numel() / (1 - p), 0)
    share = abs(kept.double().mean().item() - (1 - p))
    assert share < 0.05, f"dropout {p} keeps {kept.double().mean()}"
    return max(peer.relative_error(out, expected), peer.relative_error(dx, slope))


def gradients(ours):
    for layer, shape in LAYERS:
        layers = [layer]
        if len(peer.sequential(layers, shape).eval()(torch.zeros(2, *shape)).shape) > 2:
            layers = [layer, {"type": "flatten"}]
        if not list(peer.sequential(layers, shape).parameters()):
            layers.append({"type": "linear", "out_features": 6})  # a recipe without parameters is refused
        arguments = ", ".join(f"{key}={value}" for key, value in layer.items() if key not in ("type", "layers"))
        arguments += ", ".join(inner["type"] for inner in layer.get("layers", []))
        what = f"{layer['type']}({arguments}) on {shape}"
        yield what[:63], compare_gradients(ours, layers, shape, "mse_loss", []), LIMIT
    for p in (0.2, 0.5):
        yield f"dropout(p={p})", dropout_gradient(ours, p), LIMIT
    for loss, metrics in LOSSES:
        worst = compare_gradients(ours, [{"type": "linear", "out_features": 9}], ROW, loss, metrics, rows=40)
        yield f"{loss}"[:63], worst, LIMIT


OPTIMIZERS = [
    {"name": "sgd", "lr": 0.01},
    {"name": "sgd", "lr": 0.01, "momentum": 0.9},
    {"name": "sgd", "lr": 0.01, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
    {"name": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"name": "adam", "lr": 0.001},
    {"name": "adam", "lr": 0.001, "betas": [0.8, 0.95], "eps": 1e-4, "weight_decay": 0.01},
    {"name": "adam", "lr": 0.001, "amsgrad": True},
    {"name": "adamw", "lr": 0.001, "weight_decay": 0.01},
    {"name": "adamw", "lr": 0.001, "weight_decay": 0.1, "amsgrad": True},
    {"name": "rmsprop", "lr": 0.001},
    {"name": "rmsprop", "lr": 0.001, "alpha": 0.9, "weight_decay": 0.01, "momentum": 0.9},
    {"name": "rmsprop", "lr": 0.001, "centered": True},
    {"name": "rmsprop", "lr": 0.001, "centered": True, "momentum": 0.5},
    {"name": "adagrad", "lr": 0.01},
    {"name": "adagrad", "lr": 0.01, "lr_decay": 0.01, "initial_accumulator_value": 0.1, "weight_decay": 0.01},
]


def optimizers(ours):
    steps = 1000
    layers = [{"type": "linear", "out_features": 37}, {"type": "relu"}, {"type": "linear", "out_features": 5}]
    x, y = numpy.zeros((16, 13), numpy.float32), numpy.zeros((16, 5), numpy.float32)
    for spec in OPTIMIZERS:
        for clip in (None, 1.0):
            torch.manual_seed(3)
            clipped = {} if clip is None else {"clip_grad_norm": clip}
            ours.open(recipe(layers, optimizer=spec, **clipped), [x, x], [y, y])
            model = peer.sequential(layers, [13])
            model.load_state_dict(ours.model_state())
            parameters = list(model.parameters())
            total = sum(parameter.numel() for parameter in parameters)
            # Norms from below to above the clip, so that some steps are clipped and some are not.
            feed = torch.randn(steps, total) * torch.rand(steps, 1) * 0.1
            ours.ask("optimize", gradients=ours.file(feed.numpy()), steps=steps)
            step = peer.optimizer(spec, parameters)
            for gradient in feed:
                for parameter, part in zip(parameters, gradient.split([parameter.numel() for parameter in parameters])):
                    parameter.grad = part.view(parameter.shape).clone()
                if clip is not None:
                    torch.nn.utils.clip_grad_norm_(parameters, clip)
                step.step()
            state = ours.state()
            worst = max(peer.relative_error(state[name], value.detach()) for name, value in model.named_parameters())
            arguments = ", ".join(f"{key}={value}" for key, value in spec.items() if key not in ("name", "lr"))
            what = f"{spec['name']}({arguments}), 1,000 steps" + ("" if clip is None else ", clipped")
            yield what[:63], worst, LIMIT


SCHEDULES = [
    {"name": "constant"},
    {"name": "step", "step_size": 2},
    {"name": "step", "step_size": 0.5, "gamma": 0.7},
    {"name": "multistep", "milestones": [1, 2.5, 4], "gamma": 0.3},
    {"name": "exponential", "gamma": 0.8},
    {"name": "cosine"},
    {"name": "cosine", "eta_min": 0.02},
    {"name": "linear"},
    {"name": "linear", "start_factor": 0.1, "end_factor": 0.6, "total_epochs": 3},
    {"name": "one_cycle", "max_lr": 0.5},
    {"name": "one_cycle", "max_lr": 0.5, "pct_start": 0.4, "div_factor": 10, "final_div_factor": 100, "anneal_strategy": "linear"},
    {"name": "one_cycle", "max_lr": 0.5, "pct_start": 0.25, "three_phase": True},
]


def schedules(ours):
    epochs, per_epoch, batch = 5, 20, 8
    x, y = numpy.zeros((batch * per_epoch, 13), numpy.float32), numpy.zeros((batch * per_epoch, 5), numpy.float32)
    layers = [{"type": "linear", "out_features": 5}]
    for spec in SCHEDULES:
        ours.open(recipe(layers, epochs=epochs, batch_size=batch, lr_schedule=spec), [x, x], [y, y])
        samples = [step * batch for step in range(epochs * per_epoch)]
        rates = ours.ask("rates", samples=samples, samples_per_epoch=batch * per_epoch)["rates"]
        step = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        schedule = peer.scheduler(spec, step, epochs, per_epoch)
        worst = 0.0
        for rate in rates:
            expected = step.param_groups[0]["lr"]
            worst = max(worst, abs(rate - expected) / max(abs(expected), 1e-12))
            step.step()
            schedule.step()
        arguments = ", ".join(f"{key}={value}" for key, value in spec.items() if key != "name")
        yield f"{spec['name']}({arguments})"[:63], worst, 1e-6

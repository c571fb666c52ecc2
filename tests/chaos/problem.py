"""The data set and the specs that chaos runs: real training, in units of some 0.2 to 2 s."""
import array
import json
import random

from cluster import write_npy

SIDE = 12
CLASSES = 4


def import_data(product, rows=24000, partitions=4):
    """Noisy class patterns, 1 x SIDE x SIDE bytes."""
    folder = product.root / "source"
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(3)
    pixels = SIDE * SIDE
    patterns = [bytes(rng.randrange(256) for _ in range(pixels)) for _ in range(CLASSES)]
    for name, count in (("", rows), ("_test", 400)):
        labels = array.array("q", (rng.randrange(CLASSES) for _ in range(count)))
        noise = rng.randbytes(count * pixels)
        values = bytearray(count * pixels)
        for row, label in enumerate(labels):
            for at, pattern in enumerate(patterns[label], row * pixels):
                values[at] = (pattern + 3 * noise[at]) >> 2
        write_npy(folder / f"x{name}.npy", "|u1", (count, 1, SIDE, SIDE), values)
        write_npy(folder / f"y{name}.npy", "<i8", (count,), labels)
    product.run("data", "import", "blobs", "--from", "npy", folder, "--partitions", str(partitions))


def spec(name, epochs=3, lrs=(0.01, 0.003, 0.001), batch_sizes=(16, 32), seed=11, channels=8, algorithm=None, **more):
    """Batch norm and dropout inside, so that running statistics and masks must travel or be re-made exactly."""
    text = {
        "version": 1, "name": name, "seed": seed,
        "dataset": {"name": "blobs", "transform": [{"op": "scale", "factor": 1 / 255}]},
        "model": {"type": "sequential", "layers": [
            {"type": "conv2d", "out_channels": channels, "kernel_size": 3, "padding": 1}, {"type": "batch_norm2d"},
            {"type": "relu"}, {"type": "max_pool2d", "kernel_size": 2}, {"type": "flatten"},
            {"type": "linear", "out_features": 32}, {"type": "batch_norm1d"}, {"type": "relu"}, {"type": "dropout", "p": 0.25},
            {"type": "linear", "out_features": CLASSES}]},
        "training": {"epochs": epochs, "batch_size": 16, "loss": "cross_entropy", "metrics": ["accuracy"],
                     "optimizer": {"name": "adam", "lr": 0.001}},
        "algorithm": algorithm or {"name": "grid"},
        "metric": {"name": "val_accuracy", "goal": "maximize"},
        "parameters": {"training.optimizer.lr": {"values": list(lrs)}, "training.batch_size": {"values": list(batch_sizes)}},
    }
    text.update(more)
    return json.dumps(text)

"""Runs the real programs as a user would. Standard library only, so a bare machine can run it."""
import array
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time


class Product:
    """The built programs, one store and one state directory in a temporary folder."""

    def __init__(self, bin_dir, keep=False, worker=None):
        """worker: another program in modelhop-worker's place (one without LibTorch, under a sanitizer)."""
        self.bin = pathlib.Path(bin_dir).resolve()
        self.worker = pathlib.Path(worker).resolve() if worker else self.bin / "modelhop-worker"
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="modelhop-test-"))
        self.store = self.root / "store"
        self.keep = keep

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.keep:
            print(f"kept: {self.root}")
        else:
            shutil.rmtree(self.root, ignore_errors=True)

    def state_dir(self, name):
        return self.root / f"state-{name}"

    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("MODELHOP_")}
        env.update(MODELHOP_STORE=str(self.store), MODELHOP_WORKER=str(self.worker), HOME=str(self.root), NO_COLOR="1")
        return env

    def run(self, *args, check=True, **kwargs):
        """modelhop ARGS; stdout as text."""
        done = subprocess.run([str(self.bin / "modelhop"), *map(str, args)], env=self.env(), text=True,
                              capture_output=True, **kwargs)
        if check and done.returncode != 0:
            raise AssertionError(f"modelhop {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, name, spec, workers, log=None):
        """`modelhop run` in its own process group, so that all of it can be killed at once."""
        out = open(self.root / f"{log or name}.log", "ab")
        return subprocess.Popen(
            [str(self.bin / "modelhop"), "run", str(spec), "--workers", str(workers), "--state-dir", str(self.state_dir(name)),
             "--port", "0"], env=self.env(), stdout=out, stderr=subprocess.STDOUT, start_new_session=True)

    def finish(self, name, spec, workers, timeout=600):
        process = self.start(name, spec, workers)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            kill_group(process)
            raise AssertionError(f"{name}: not done after {timeout} s\n{self.log(name)}")
        if code != 0:
            raise AssertionError(f"{name}: exit {code}\n{self.log(name)}")

    def log(self, name):
        return (self.root / f"{name}.log").read_text(errors="replace")[-4000:]

    def export(self, name, *args):
        """The experiment's CSV: equal runs give equal bytes."""
        return self.run("exp", "export", "e1", "--state-dir", self.state_dir(name), "--format", "csv", *args).stdout

    def units(self, name):
        """One dictionary a lease attempt."""
        text = self.run("exp", "export", "e1", "--state-dir", self.state_dir(name), "--format", "jsonl", "--units").stdout
        return [json.loads(line) for line in text.splitlines()]

    def wait_for_training(self, name, timeout=120):
        """Returns once the journal of a run that just began holds its first lease."""
        deadline = time.time() + timeout
        while time.time() < deadline:
            try:
                if self.units(name):
                    return
            except AssertionError:
                pass  # no journal or no experiment yet
            time.sleep(0.02)
        raise AssertionError(f"{name}: no unit within {timeout} s\n{self.log(name)}")

    def workers(self):
        """Pids of live modelhop-worker processes of this product, by worker name."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if pathlib.Path(os.fsdecode(words[0])) == self.worker and str(self.root).encode() in b" ".join(words):
                name = words[words.index(b"--name") + 1] if b"--name" in words else b"?"
                found[name.decode()] = int(entry.name)
        return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def kill_group(process):
    """SIGKILL to the scheduler and, found by their parent, every worker; then waits until all are gone."""
    children = descendants(process.pid)
    for pid in [process.pid, *children]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    deadline = time.time() + 10
    while any(alive(pid) for pid in children) and time.time() < deadline:
        time.sleep(0.01)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid):
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    found, front = [], [pid]
    while front:
        front = [child for child, parent in parents.items() if parent in front]
        found += front
    return found


def write_npy(path, kind, shape, values):
    """kind: numpy's '<f4', '<i8', '|u1'. values: flat."""
    codes = {"<f4": "f", "<f8": "d", "<i8": "q", "|u1": "B"}
    header = repr({"descr": kind, "fortran_order": False, "shape": tuple(shape)})
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    with open(path, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        array.array(codes[kind], values).tofile(out)


def blobs(folder, rows=9600, test_rows=800, side=12, classes=4, seed=3):
    """A small image-like classification set: noisy class patterns, 1 x side x side bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    patterns = [[rng.randrange(256) for _ in range(side * side)] for _ in range(classes)]
    for name, count in (("", rows), ("_test", test_rows)):
        pixels, labels = bytearray(), []
        for _ in range(count):
            label = rng.randrange(classes)
            labels.append(label)
            pixels += bytes(min(255, max(0, p + rng.randrange(-200, 201))) for p in patterns[label])
        write_npy(folder / f"x{name}.npy", "|u1", (count, 1, side, side), pixels)
        write_npy(folder / f"y{name}.npy", "<i8", (count,), labels)


def cnn_spec(path, dataset="blobs", epochs=2, name="system", trials=6):
    """Batch norm and dropout inside, so that running statistics and masks must travel or be re-made exactly."""
    lrs = [0.01, 0.003, 0.001, 0.0003, 0.03, 0.02, 0.005, 0.0001][: trials // 2]
    spec = {
        "version": 1, "name": name, "seed": 11,
        "dataset": {"name": dataset, "transform": [{"op": "scale", "factor": 1 / 255}]},
        "model": {"type": "sequential", "layers": [
            {"type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1}, {"type": "batch_norm2d"}, {"type": "relu"},
            {"type": "max_pool2d", "kernel_size": 2}, {"type": "flatten"}, {"type": "linear", "out_features": 32},
            {"type": "batch_norm1d"}, {"type": "relu"}, {"type": "dropout", "p": 0.25}, {"type": "linear", "out_features": 4}]},
        "training": {"epochs": epochs, "batch_size": 16, "loss": "cross_entropy", "metrics": ["accuracy"],
                     "optimizer": {"name": "adam", "lr": 0.001}},
        "algorithm": {"name": "grid"},
        "metric": {"name": "val_accuracy", "goal": "maximize"},
        "parameters": {"training.optimizer.lr": {"values": lrs}, "training.batch_size": {"values": [16, 32]}},
    }
    path.write_text(json.dumps(spec))
    return path


def random_of(seed):
    """Keyed by the seed, or by one of its own; says which, so that it can be played again."""
    if seed is None:
        seed = random.randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    return random.Random(seed)


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def check_counted_once(units):
    """Every (trial, visit) ends in exactly one finished lease."""
    counted = {}
    for unit in units:
        if unit["outcome"] == "finished":
            key = (unit["trial"], unit["visit"])
            counted[key] = counted.get(key, 0) + 1
    twice = {key: n for key, n in counted.items() if n != 1}
    check(not twice, f"counted more than once: {twice}")
    return len(counted)

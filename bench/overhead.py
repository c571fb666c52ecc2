#!/usr/bin/env python3
"""What it costs that nothing is lost: `modelhop run` on real data, this build against an earlier one, in pairs whose order
alternates. Peer: the commit of --base, built beside. Figures: wall ratio (median of the pairs, 95 % interval by order
statistics), and of this build the CPU time of everything that is not a training thread, over that of the training threads.
Exit 1: the interval lies wholly above 1.02, or that share is above 2 %."""
import argparse
import json
import math
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASE = "37e8f3b"
LIMIT_RATIO, LIMIT_SHARE = 1.02, 0.02


def build_base(commit):
    """The earlier programs, in build/base-COMMIT/build/release/bin."""
    tree = ROOT / "build" / f"base-{commit}"
    if not tree.exists():
        tree.mkdir(parents=True)
        sources = subprocess.Popen(["git", "-C", ROOT, "archive", commit], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", tree], stdin=sources.stdout, check=True)
        if sources.wait() != 0:
            sys.exit(f"no commit {commit} here: a clone with all its history is needed")
        (tree / ".deps").symlink_to(ROOT / ".deps")
    subprocess.run(["./dev", "build", "--preset", "release"], cwd=tree, check=True, stdout=subprocess.DEVNULL)
    return tree / "build" / "release" / "bin"


def cpu_by_thread(pid):
    """{(tid, name): seconds of CPU} of a process now."""
    out = {}
    tick = os.sysconf("SC_CLK_TCK")
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            text = pathlib.Path(f"/proc/{pid}/task/{task}/stat").read_text()
            name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
            out[int(task), name] = (int(rest[11]) + int(rest[12])) / tick
    except (OSError, ValueError):
        pass
    return out


class CpuOf:
    """Samples the threads of a process and its children until it ends. A thread's last 50 ms may be missed."""

    def __init__(self, pid):
        self.pid, self.seen, self.ended = pid, {}, False
        self.thread = threading.Thread(target=self._sample)
        self.thread.start()

    def _sample(self):
        while not self.ended:
            pids = [self.pid]
            try:
                for task in os.listdir(f"/proc/{self.pid}/task"):
                    pids += map(int, pathlib.Path(f"/proc/{self.pid}/task/{task}/children").read_text().split())
            except OSError:
                pass
            for pid in pids:
                self.seen.update(cpu_by_thread(pid))
            time.sleep(0.05)

    def end(self):
        self.ended = True
        self.thread.join()
        train = sum(s for (_, name), s in self.seen.items() if name == "train")
        return train, sum(self.seen.values()) - train, self.seen


def spec(epochs):
    text = json.loads((ROOT / "configs" / "fmnist-cnn-grid.json").read_text())
    text["training"]["epochs"] = epochs
    text["parameters"] = {"training.optimizer.lr": {"values": [0.003, 0.001, 0.0003, 0.0001]}}
    return text


def run(bin_dir, store, spec_file):
    """(wall seconds, CPU) of one experiment from start to end."""
    state = tempfile.mkdtemp(prefix="modelhop-overhead-")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MODELHOP_")}
    started = time.monotonic()
    process = subprocess.Popen([bin_dir / "modelhop", "run", spec_file, "--workers", "2", "--store", store, "--state-dir", state,
                                "--port", "0"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    cpu = CpuOf(process.pid)
    _, said = process.communicate()
    wall = time.monotonic() - started
    figures = cpu.end()
    if process.returncode != 0:
        sys.exit(f"{bin_dir}: exit {process.returncode}\n{said.decode()}")
    shutil.rmtree(state)
    return wall, figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True, type=pathlib.Path)
    parser.add_argument("--base", default=BASE, help="commit to compare with")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    ours, base = args.bin.resolve(), build_base(args.base)
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"{model}, {os.cpu_count()} cores, Linux {platform.release()}; {commit} against {args.base}; 2 workers, 4 trials, "
          f"{args.epochs} epochs of Fashion-MNIST; load at the start {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="modelhop-overhead-") as folder:
        spec_file = pathlib.Path(folder, "spec.json")
        spec_file.write_text(json.dumps(spec(args.epochs)))
        stores = {base: f"{folder}/base", ours: f"{folder}/ours"}
        for program, store in stores.items():
            subprocess.run([program / "modelhop", "data", "import", "fashion-mnist", "--from", "idx",
                            "/usr/share/datasets/fashion-mnist", "--partitions", "4", "--store", store],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            run(program, store, spec_file)  # caches are warm from here on
        ratios, shares, threads = [], [], {}
        for pair in range(args.pairs):
            walls = {}
            for program in (base, ours) if pair % 2 == 0 else (ours, base):
                walls[program], (train, other, seen) = run(program, stores[program], spec_file)
                if program == ours:
                    shares.append(other / train)
                    for (_, name), seconds in seen.items():
                        threads[name] = threads.get(name, 0) + seconds / args.pairs
            ratios.append(walls[ours] / walls[base])
            print(f"pair {pair + 1}: {walls[ours]:.2f} s against {walls[base]:.2f} s, {ratios[-1]:.3f}; beside training "
                  f"{100 * shares[-1]:.2f} %", flush=True)
    ratios.sort()
    # Order statistics k and n-k+1 hold the median with at least 95 %: binomial(n, 1/2).
    n, k, tail = len(ratios), 0, 0.0
    while True:
        tail += math.comb(n, k) / 2**n
        if tail > 0.025:
            break
        k += 1
    low, high = ratios[max(0, k - 1)], ratios[min(n - 1, n - k)]
    share = statistics.median(shares)
    print("seconds of CPU a run, by thread: " + ", ".join(f"{name} {s:.2f}" for name, s in sorted(threads.items(), key=lambda t: -t[1])))
    print(f"wall ratio {statistics.median(ratios):.3f}, 95 % interval {low:.3f} to {high:.3f}; limit: not wholly above {LIMIT_RATIO}")
    print(f"CPU beside training {100 * share:.2f} % of training; limit {100 * LIMIT_SHARE:.0f} %")
    sys.exit(low > LIMIT_RATIO or share > LIMIT_SHARE)


main()

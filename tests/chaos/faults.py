"""What chaos does to the cluster. The plan (when, what, to whom, how long) is a pure function of the seed and the minutes."""
import dataclasses
import random
import shutil
import signal
import threading
import time

# One deck is dealt about every two minutes, so that each kind comes in even a short run.
DECK = (["kill worker"] * 6 + ["kill scheduler"] * 3 + ["kill both"] * 2 + ["kill all", "kill two workers"] +
        ["stop worker"] * 2 + ["stop scheduler", "term worker", "term scheduler"] +
        ["cut both ways", "cut both ways", "cut worker to scheduler", "cut scheduler to worker", "unplug", "lose packets", "delay packets"] +
        ["store full", "store read-only", "state disk full", "slow disk", "state disk broken", "store broken",
         "worker disk lost"])
GAP_S = 4.0
LEASE_S = 15


@dataclasses.dataclass(frozen=True)
class Fault:
    at_s: float
    kind: str
    worker: int  # 1..N, where one is meant
    other: int  # another one
    for_s: float
    amount: float  # 0..1


def plan(seed, seconds, workers):
    rng = random.Random(seed)
    faults, deck, at_s = [], [], 2.0
    while True:
        at_s += min(3 * GAP_S, max(0.3, rng.expovariate(1 / GAP_S)))
        if at_s > seconds:
            return faults
        if not deck:
            deck = DECK[:]
            rng.shuffle(deck)
        kind = deck.pop()
        worker = rng.randint(1, workers)
        other = rng.choice([i for i in range(1, workers + 1) if i != worker] or [worker])
        low, high = {"stop worker": (LEASE_S + 1, LEASE_S + 5), "stop scheduler": (1, 18), "store full": (3, 9),
                     "state disk full": (2, 6), "store read-only": (2, 7), "state disk broken": (1, 4), "store broken": (1, 4),
                     "slow disk": (5, 12)}.get(kind, (2, 22))
        faults.append(Fault(at_s, kind, worker, other, rng.uniform(low, high), rng.random()))


class Hand:
    """Carries faults out, each in a thread of its own. A disk or a wire has one fault at a time; the next waits."""

    def __init__(self, cluster, wires, disks, syncs, say):
        """disks: "store", "state" and "data", the last that of every worker's copies of partitions."""
        self.cluster, self.wires, self.disks, self.syncs, self.say = cluster, wires, disks, syncs, say
        self.kills = []  # (time, process name)
        self.done = {}  # kind -> how often
        self.errors = []
        self._threads = []
        self._busy = {name: threading.Lock() for name in (*disks, "syncs", *(f"wire {i}" for i in wires.networks))}

    def begin(self, fault):
        thread = threading.Thread(target=self._run, args=(fault,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def wait(self):
        for thread in self._threads:
            thread.join()

    def _run(self, fault):
        try:
            getattr(self, fault.kind.replace(" ", "_").replace("-", "_"))(fault)
            self.done[fault.kind] = self.done.get(fault.kind, 0) + 1
        except OSError as error:
            self.errors.append(f"{fault.kind}: {error}")

    def _worker(self, index):
        return self.cluster.workers[f"w{index}"]

    def _kill(self, *kept):
        killed = []
        for one in kept:
            if one.kill():
                self.kills.append((time.time(), one.name))
                killed.append(one.name)
        self.say(f"SIGKILL {' '.join(killed) or '(nothing ran)'}")

    # --- processes

    def kill_worker(self, fault):
        self._kill(self._worker(fault.worker))

    def kill_two_workers(self, fault):
        self._kill(self._worker(fault.worker), self._worker(fault.other))

    def kill_scheduler(self, fault):
        self._kill(self.cluster.scheduler)

    def kill_both(self, fault):
        self._kill(self.cluster.scheduler, self._worker(fault.worker))

    def kill_all(self, fault):
        self._kill(self.cluster.scheduler, *self.cluster.workers.values())

    def term_worker(self, fault):
        self.say(f"SIGTERM w{fault.worker}")
        self._worker(fault.worker).send(signal.SIGTERM)

    def term_scheduler(self, fault):
        self.say("SIGTERM scheduler")
        self.cluster.scheduler.send(signal.SIGTERM)

    def _stop(self, kept, for_s):
        self.say(f"SIGSTOP {kept.name} for {for_s:.1f} s")
        kept.send(signal.SIGSTOP)
        time.sleep(for_s)
        kept.send(signal.SIGCONT)

    def stop_worker(self, fault):
        self._stop(self._worker(fault.worker), fault.for_s)

    def stop_scheduler(self, fault):
        self._stop(self.cluster.scheduler, fault.for_s)

    # --- the network

    def _wire(self, fault, text, **settings):
        with self._busy[f"wire {fault.worker}"]:
            self.say(f"w{fault.worker}'s wire {text} for {fault.for_s:.1f} s")
            self.wires.set(fault.worker, **settings)
            time.sleep(fault.for_s)
            self.wires.set(fault.worker)

    def cut_both_ways(self, fault):
        self._wire(fault, "cut", up_loss=1, down_loss=1)

    def cut_worker_to_scheduler(self, fault):
        self._wire(fault, "cut towards the scheduler", up_loss=1)

    def cut_scheduler_to_worker(self, fault):
        self._wire(fault, "cut towards the worker", down_loss=1)

    def lose_packets(self, fault):
        loss = 0.1 + 0.4 * fault.amount
        self._wire(fault, f"loses {100 * loss:.0f} % and doubles 10 %", up_loss=loss, down_loss=loss, doubled=0.1)

    def delay_packets(self, fault):
        ms = 100 + 900 * fault.amount
        self._wire(fault, f"delays and reorders by {ms:.0f} to {2 * ms:.0f} ms", delay_ms=ms, jitter_ms=ms)

    def unplug(self, fault):
        with self._busy[f"wire {fault.worker}"]:
            self.say(f"w{fault.worker} unplugged for {fault.for_s:.1f} s")
            self.wires.unplug(fault.worker)
            time.sleep(fault.for_s)
            self.wires.plug(fault.worker)

    # --- disks

    def _disk(self, name, text, fault, begin, end):
        with self._busy[name]:
            self.say(f"{text} for {fault.for_s:.1f} s")
            begin()
            try:
                time.sleep(fault.for_s)
            finally:
                end()

    def store_full(self, fault):
        self._disk("store", "store filled up", fault, self.disks["store"].fill, self.disks["store"].free)

    def store_read_only(self, fault):
        self._disk("store", "store read-only", fault, self.disks["store"].read_only, self.disks["store"].writable)

    def state_disk_full(self, fault):
        self._disk("state", "state disk filled up", fault, self.disks["state"].fill, self.disks["state"].free)

    def worker_disk_lost(self, fault):
        """A worker dies, its copies of partitions are gone, and at first there is no room for new ones."""
        name = f"w{fault.worker}"

        def begin():
            self._kill(self._worker(fault.worker))
            shutil.rmtree(self.disks["data"].path / name, ignore_errors=True)
            self.disks["data"].fill()

        self._disk("data", f"{name}'s copies of partitions lost, no room for new ones", fault, begin, self.disks["data"].free)

    def slow_disk(self, fault):
        ms = int(50 + 450 * fault.amount)

        def slow():
            for syncs in self.syncs.values():
                syncs.slow(ms)

        def well():
            for syncs in self.syncs.values():
                syncs.well()

        self._disk("syncs", f"every fsync takes {ms} ms", fault, slow, well)

    def state_disk_broken(self, fault):
        self._disk("syncs", "the scheduler's fsyncs fail", fault, self.syncs["scheduler"].broken, self.syncs["scheduler"].well)

    def store_broken(self, fault):
        self._disk("syncs", "the workers' fsyncs fail", fault, self.syncs["workers"].broken, self.syncs["workers"].well)

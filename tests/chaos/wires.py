"""Wires between the scheduler's network and each worker's: two TUN devices and a process between them that carries every IP
packet, or drops, delays or doubles it.

The process is told what to do by lines on its stdin: INDEX UP_LOSS DOWN_LOSS DELAY_MS JITTER_MS DOUBLED (up: worker to
scheduler; chances 0 to 1).
"""
import fcntl
import heapq
import os
import random
import selectors
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PACKET_BYTES_MAX = 65536
WAITING_MAX = 20_000  # delayed packets; more are dropped


def open_tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


class Wires:
    """Wire i joins 10.99.i.1 (here, where the scheduler is) and 10.99.i.2 (in `networks[i]`)."""

    def __init__(self, networks, seed, run):
        self.networks = networks
        self._run = run
        fds = []
        for index, network in networks.items():
            here, there = f"mh{index}s", f"mh{index}w"
            fds += [(index, open_tun(there), open_tun(here))]
            run("ip", "link", "set", there, "netns", network.path)
            run("ip", "addr", "add", f"10.99.{index}.1", "peer", f"10.99.{index}.2", "dev", here)
            run("ip", "link", "set", here, "up")
            run(*network.inside(), "ip", "addr", "add", f"10.99.{index}.2", "peer", f"10.99.{index}.1", "dev", there)
            run(*network.inside(), "ip", "link", "set", there, "up")
        words = [f"{index}:{up}:{down}" for index, up, down in fds]
        passed = [fd for _, up, down in fds for fd in (up, down)]
        self._relay = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(seed), *words], stdin=subprocess.PIPE,
                                       pass_fds=passed, text=True, bufsize=1)
        for fd in passed:
            os.close(fd)

    def set(self, index, up_loss=0.0, down_loss=0.0, delay_ms=0, jitter_ms=0, doubled=0.0):
        self._relay.stdin.write(f"{index} {up_loss} {down_loss} {delay_ms} {jitter_ms} {doubled}\n")
        self._relay.stdin.flush()

    def unplug(self, index):
        """The device goes down: what the worker sends fails at once."""
        self._run(*self.networks[index].inside(), "ip", "link", "set", f"mh{index}w", "down")

    def plug(self, index):
        self._run(*self.networks[index].inside(), "ip", "link", "set", f"mh{index}w", "up")

    def leave(self):
        self._relay.stdin.close()
        self._relay.wait()


def relay(seed, wires):
    rng = random.Random(seed)
    settings = {index: (0.0, 0.0, 0.0, 0.0, 0.0) for index, _, _ in wires}
    chooser = selectors.DefaultSelector()
    for index, worker, scheduler in wires:
        chooser.register(worker, selectors.EVENT_READ, (index, 0, scheduler))
        chooser.register(scheduler, selectors.EVENT_READ, (index, 1, worker))
    os.set_blocking(0, False)
    chooser.register(0, selectors.EVENT_READ, None)
    waiting, number, text = [], 0, b""

    def put(fd, packet):
        try:
            os.write(fd, packet)
        except OSError:
            pass  # the device is down or full: a wire loses it

    while True:
        wait = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in chooser.select(wait):
            if key.data is None:
                more = os.read(0, 65536)
                if not more:
                    return
                text += more
                while b"\n" in text:
                    line, text = text.split(b"\n", 1)
                    words = line.split()
                    settings[int(words[0])] = tuple(map(float, words[1:]))
                continue
            index, direction, to = key.data
            try:
                packet = os.read(key.fd, PACKET_BYTES_MAX)
            except OSError:
                continue
            up_loss, down_loss, delay_ms, jitter_ms, doubled = settings[index]
            if rng.random() < (up_loss, down_loss)[direction]:
                continue
            for _ in range(2 if rng.random() < doubled else 1):
                late_s = (delay_ms + rng.random() * jitter_ms) / 1000
                if late_s == 0:
                    put(to, packet)
                elif len(waiting) < WAITING_MAX:
                    number += 1
                    heapq.heappush(waiting, (time.monotonic() + late_s, number, to, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(waiting)
            put(to, packet)


if __name__ == "__main__":
    relay(int(sys.argv[1]), [tuple(map(int, word.split(":"))) for word in sys.argv[2:]])

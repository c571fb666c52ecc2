"""Namespaces of our own: what the test mounts, cuts and kills is seen by nobody else and goes when the test ends."""
import ctypes
import os
import subprocess
import sys
import threading

CLONE_NEWNET = 0x40000000
MARK = "MODELHOP_CHAOS_INSIDE"


def enter():
    """Runs this program again inside its own network, mount and process namespaces; returns only there."""
    if os.environ.get(MARK) == "1":
        del os.environ[MARK]
        return
    options = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        options = ["--user", "--map-root-user", *options]
    os.environ[MARK] = "1"
    try:
        os.execvp("unshare", ["unshare", *options, sys.executable, *sys.argv])
    except OSError as error:
        sys.exit(f"chaos: unshare (util-linux) is needed for namespaces: {error}")


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.returncode}")


class Network:
    """A network namespace, held by a file descriptor."""

    def __init__(self):
        opened = []

        def inside():  # a thread of its own: its namespace changes, the others' does not
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNET) != 0:
                opened.append(OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)"))
            else:
                opened.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if isinstance(opened[0], OSError):
            raise opened[0]
        self.path = f"/proc/{os.getpid()}/fd/{opened[0]}"
        run(*self.inside(), "ip", "link", "set", "lo", "up")

    def inside(self):
        """Put before a command, it runs there (nsenter replaces itself, so the pid is the command's)."""
        return ["nsenter", f"--net={self.path}"]

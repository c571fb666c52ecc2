"""Disks of the test's own: a file system of a few hundred MiB that can be filled and made read-only, and fsyncs that are slow
or fail."""
import os
import pathlib
import subprocess
import time

from namespaces import run


class Disk:
    """A tmpfs at `path`."""

    def __init__(self, path, mib):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.mib = mib
        run("mount", "-t", "tmpfs", "-o", f"size={mib}m", "modelhop-chaos", self.path)
        self._ballast = self.path / ".ballast"

    def fill(self):
        with open(self._ballast, "ab", buffering=0) as out:
            for block in (1 << 20, 4096, 1):
                try:
                    while True:
                        out.write(bytes(block))
                except OSError:
                    pass

    def free(self):
        self._ballast.unlink(missing_ok=True)

    def read_only(self, timeout_s=10):
        """A file that is open for writing forbids it, so it may take some tries."""
        deadline = time.time() + timeout_s
        while True:
            try:
                return run("mount", "-o", "remount,ro", self.path)
            except OSError:
                if time.time() > deadline:
                    raise
                time.sleep(0.005)

    def writable(self):
        run("mount", "-o", f"remount,rw,size={self.mib}m", self.path)


class Syncs:
    """How fsync behaves in one program: `env` makes it obey."""

    def __init__(self, folder, library):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.env = {"LD_PRELOAD": str(library), "MODELHOP_CHAOS_DISK": str(self.folder)}

    def slow(self, ms):
        self._write("slow", str(ms))

    def broken(self):
        self._write("broken", "1")

    def well(self):
        for name in ("slow", "broken"):
            (self.folder / name).unlink(missing_ok=True)

    def _write(self, name, text):
        (self.folder / (name + ".new")).write_text(text)
        os.replace(self.folder / (name + ".new"), self.folder / name)


def build_library(folder):
    library = pathlib.Path(folder) / "slow_disk.so"
    source = pathlib.Path(__file__).with_name("slow_disk.c")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O2", "-Wall", "-o", library, source, "-ldl"], check=True)
    return library

#!/usr/bin/env python3
"""Shows that layers_test.py can fail: plants one violation of each kind in a copy of the tree's headers and expects its line.

usage: layers_catch_test.py SOURCE_DIR
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

source = pathlib.Path(sys.argv[1])
# file, line put at its top, words the complaint must hold
PLANTED = [
    ("common/base/hash.h", '#include "scheduler/core/core.h"', "must not include scheduler/core"),
    ("search/seam/search.h", '#include "common/store/journal.h"', "must not include common/store"),
    ("common/base/hash.h", '#include "hash.h"', "is in no leaf"),
    ("scheduler/core/core.h", "#include <zmq.hpp>", "belongs to common/net"),
    ("scheduler/core/core.h", "#include <sqlite3.h>", "belongs to common/store"),
    ("common/spec/spec.h", "#include <hdf5.h>", "belongs to worker/data"),
    ("worker/core/worker_core.h", "#include <ATen/ATen.h>", "belongs to worker/"),
    ("common/store/journal.h", "#include <boost/beast/http.hpp>", "scheduler/web"),
    ("scheduler/core/state.h", "#include <unordered_map>", "has no order"),
    ("scheduler/core/state.h", "inline auto now() { return std::chrono::system_clock::now(); }", "take the time as an argument"),
    ("search/seam/search.h", "inline std::random_device device;", "draw from common/base/rng.h"),
    ("common/state/arena.h", "inline void f(char* a) { strcpy(a, a); }", "use fmt or std::string"),
]
missed = 0
for file, line, words in PLANTED:
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        shutil.copy(source / "CMakeLists.txt", copy)
        for top in ("common", "search", "scheduler", "worker", "cli"):
            if (source / top).is_dir():
                shutil.copytree(source / top, copy / top)
        target = copy / file
        target.write_text(line + "\n" + target.read_text())
        run = subprocess.run([sys.executable, str(source / "tests/layers_test.py"), folder], capture_output=True, text=True)
        if run.returncode != 1 or f"{file}:1:" not in run.stdout or words not in run.stdout:
            missed += 1
            print(f"not caught in {file}: {line}\n{run.stdout}")
print(f"{len(PLANTED)} planted, {missed} missed")
sys.exit(1 if missed else 0)

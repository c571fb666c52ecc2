#!/usr/bin/env python3
"""Keeps the layering: includes go downward only, a library stays in its leaf, and pure leaves stay pure.

usage: layers_test.py SOURCE_DIR   (exit 1 and one line a violation, each with what to do instead)
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
cmake = (root / "CMakeLists.txt").read_text()

leaves = {}  # folder -> folders it names in NEEDS
for match in re.finditer(r"modelhop_leaf\(([^)]*)\)", cmake):
    words = match.group(1).split()
    needs = []
    if "NEEDS" in words:
        for word in words[words.index("NEEDS") + 1 :]:
            if word in ("USES", "EMBED"):
                break
            if word != "HEADERS":  # a leaf whose headers alone are used stands below, too
                needs.append(word)
    leaves[words[0]] = needs


def reachable(leaf, seen=None):
    seen = set() if seen is None else seen
    for need in leaves[leaf]:
        if need not in seen:
            seen.add(need)
            reachable(need, seen)
    return seen


# A header that only these folders may include, and what others use instead.
OWNED = [
    (r"zmq(\.hpp|\.h|_addon\.hpp)", {"common/net"}, "send frames through common/net"),
    (r"sqlite3\.h", {"common/store"}, "use common/store/journal.h"),
    (r"(hdf5|H5\w*)\.h", {"worker/data"}, "use worker/data/partition.h"),
    (r"(torch|ATen|c10)/.*", {"worker/model", "worker/train", "worker/cuda"}, "use worker/train/trainer.h"),
    (r"boost/(asio|beast).*", {"scheduler/web", "common/client"}, "use scheduler/web or common/client"),
]

PURE = {"common/base", "common/spec", "common/wire", "search", "search/seam", "search/space", "search/grid", "search/random",
        "scheduler/core", "scheduler/api", "worker/core"}
# Base holds the clock itself; nobody else in a pure leaf may call one.
BANNED_IN_PURE = [
    (r"\bstd::(random_device|mt19937\w*|default_random_engine|uniform_\w+_distribution|normal_distribution)\b",
     "draw from common/base/rng.h, keyed"),
    (r"\bs?rand\(", "draw from common/base/rng.h, keyed"),
    (r"\b(monotonic_now|wall_now)\(|\b(steady|system)_clock\b", "take the time as an argument"),
    (r"\bstd::(thread|mutex|async|condition_variable)\b", "a pure leaf has no threads"),
    (r"\bgetenv\(|\bstd::(ifstream|ofstream|fstream)\b|\bfopen\(", "take the bytes as an argument"),
]
BANNED_ANYWHERE = [
    (r"\b(sprintf|strcpy|strcat|gets)\(", "use fmt or std::string"),
    (r"\busing namespace std\b", "name what is used"),
]
UNORDERED = {"scheduler/core", "worker/core", "search", "search/seam", "search/space", "search/grid", "search/random"}

violations = []


def code_lines(path):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), path.read_text(), flags=re.S)
    for number, line in enumerate(text.splitlines(), 1):
        yield number, re.sub(r"//.*", "", line)


for leaf in leaves:
    allowed = reachable(leaf) | {leaf}
    for path in sorted((root / leaf).glob("*.h")) + sorted((root / leaf).glob("*.cpp")):
        program = path.name.startswith("main")
        for number, line in code_lines(path):
            where = f"{path.relative_to(root)}:{number}"
            quoted = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if quoted:
                folder = str(pathlib.PurePosixPath(quoted.group(1)).parent)
                if folder not in leaves:
                    violations.append(f"{where}: {quoted.group(1)} is in no leaf; include from the root, \"folder/file.h\"")
                elif folder not in allowed and not program:
                    violations.append(f"{where}: {leaf} must not include {folder}, which stands above or beside it; "
                                      f"move the shared part down, or add {folder} to its NEEDS if it stands below")
            angled = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
            if angled:
                for pattern, owners, instead in OWNED:
                    if re.fullmatch(pattern, angled.group(1)) and leaf not in owners:
                        violations.append(f"{where}: <{angled.group(1)}> belongs to {', '.join(sorted(owners))}; {instead}")
                if leaf in UNORDERED and angled.group(1).startswith("unordered_"):
                    violations.append(f"{where}: <{angled.group(1)}> has no order to rely on; use std::map or a sorted vector")
            for pattern, instead in BANNED_ANYWHERE:
                if re.search(pattern, line):
                    violations.append(f"{where}: {line.strip()}: {instead}")
            if leaf in PURE and path.name not in ("time.cpp", "time.h") and not program:
                for pattern, instead in BANNED_IN_PURE:
                    if re.search(pattern, line):
                        violations.append(f"{where}: {line.strip()}: {instead}")

# CMake would accept a cycle between static libraries; the order of the list must not.
order = list(leaves)
for leaf, needs in leaves.items():
    for need in needs:
        if need not in leaves:
            violations.append(f"CMakeLists.txt: {leaf} needs {need}, which is no leaf")
        elif order.index(need) > order.index(leaf):
            violations.append(f"CMakeLists.txt: {leaf} needs {need}, which is listed below it")
sources = {str(p.parent.relative_to(root)) for top in ("common", "search", "scheduler", "worker", "cli")
           for p in (root / top).rglob("*.cpp")}
for folder in sorted(sources - set(leaves)):
    violations.append(f"{folder}: holds sources but is no leaf; add it to CMakeLists.txt")

if len(leaves) < 10:
    violations.append("CMakeLists.txt: fewer than ten leaves were read; did the macro's name change?")
for violation in violations:
    print(violation)
print(f"{len(leaves)} leaves, {len(violations)} violations")
sys.exit(1 if violations else 0)

#!/usr/bin/env bash
# Fashion-MNIST from raw files to a tested model: import, hop 8 trials over two workers, show the best, score it.
# usage: examples/demo.sh BIN_DIR [STATE_DIR]
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
bin=$(readlink -f "$1")
state=${2:-$(mktemp -d "${TMPDIR:-/tmp}/modelhop-demo.XXXXXX")}
source=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
[ -d "$source" ] || {
  echo "demo: no Fashion-MNIST in $source; set FASHION_MNIST to the folder of its four .gz files" >&2
  exit 2
}
export MODELHOP_STORE=$state/store

run() { printf '\n$ modelhop %s\n' "$*" >&2; "$bin/modelhop" "$@"; }

run data import fashion-mnist --from idx "$source" --partitions 4 --seed 1
start=$SECONDS
run run "$here/../configs/fmnist-mlp-grid.json" --workers 2 --state-dir "$state" --port 0
echo "training and hopping: $((SECONDS - start)) s" >&2
run trial list e1 --state-dir "$state"
run exp best e1 --test --state-dir "$state"
echo "all of it lies in $state" >&2

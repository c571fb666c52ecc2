#!/usr/bin/env bash
# examples/load_checkpoint.py, in PyTorch, prints the score that `exp best --test` does, to 4 digits.
# usage: example_test.sh BIN_DIR PYTHON
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/../..
bin=$(readlink -f "$1")
python=$2
state=$(mktemp -d "${TMPDIR:-/tmp}/modelhop-example.XXXXXX")
trap 'rm -rf "$state"' EXIT
source=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
export MODELHOP_STORE=$state/store

"$bin/modelhop" data import fashion-mnist --from idx "$source" --partitions 4
failed=0
for spec in fmnist-mlp-grid fmnist-cnn-grid; do
  at=(--state-dir "$state/$spec")
  "$bin/modelhop" run "$root/configs/$spec.json" --workers 2 --port 0 --quiet "${at[@]}" \
    --set training.epochs=1 --set max_trials=2 >/dev/null
  best=$("$bin/modelhop" exp best e1 --test --output json "${at[@]}")
  field() { python3 -c 'import json, sys; answer = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1" <<<"$best"; }
  "$bin/modelhop" checkpoint download "$(field 'answer["best"]["checkpoint"]')" --out "$state/$spec.safetensors" "${at[@]}"
  ours=$(field '"%.4f" % answer["test"]["accuracy"]')
  torch=$("$python" "$root/examples/load_checkpoint.py" "$state/$spec.safetensors" "$source" | awk '{ print $3 }')
  echo "$spec: modelhop $ours, PyTorch $torch"
  [ "$ours" = "$torch" ] || failed=1
done
exit $failed

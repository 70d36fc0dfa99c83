#!/usr/bin/env bash
# What a machine with one GPU has to show, in under eight minutes and without a network.
#
#   scripts/gpu_check.sh [--smoke] [WHEELS]
#
# WHEELS is a folder of wheels for what the machine's Python lacks (hydra-core, omegaconf, antlr4-python3-runtime, mlxtend, ...);
# they go to a folder of their own, nothing is installed for good. DATA names the data folder (default: data), PYTHON the
# interpreter. Every part prints one JSON line as it ends, so that a cut loses little; --smoke takes a minute or two on a CPU.
set -uo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
DATA=${DATA:-data}
smoke=()
device=cuda
if [ "${1:-}" = --smoke ]; then
    smoke=(--smoke)
    device=cpu
    shift
fi
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
failed=0
if [ -n "${1:-}" ]; then
    [ -d "$1" ] || { echo "WHEELS: got $1, wanted a folder of wheels" >&2; exit 2; }
    shopt -s nullglob
    for file in "$1"/*.whl "$1"/*.tar.gz; do # one by one: a wheel for another Python must not keep the rest away
        "$PYTHON" -m pip install -q --disable-pip-version-check --no-index --no-deps --no-build-isolation --upgrade \
            --target "$site" "$file" || echo "not installed: $file" >&2
    done
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}:$site" PYTHONUNBUFFERED=1

# part NAME SECONDS COMMAND...: run it, show its output, then one JSON line of what became of it.
part() {
    local name=$1 limit=$2 code=0 start=$SECONDS
    shift 2
    [ "${#smoke[@]}" -eq 0 ] || limit=600 # a CPU may be busy
    timeout "$limit" "$@" || code=$?
    [ "$code" -eq 0 ] || failed=1
    printf '{"part": "%s", "exit_code": %d, "seconds": %d}\n' "$name" "$code" $((SECONDS - start))
}

# The files with tests for a GPU, alone: the others may import what is not here. Without a GPU all of them are skipped.
gpu_tests() {
    mapfile -t files < <(grep -rl --include='*.py' 'mark\.gpu' tests)
    [ "${#files[@]}" -gt 0 ] || { echo "no test is marked gpu" >&2; return 1; }
    timeout 60 "$PYTHON" -m pytest -q -o addopts= --import-mode=importlib -m gpu -p no:cacheprovider "${files[@]}"
}

"$PYTHON" - <<'PY'
import json

import torch

there = torch.cuda.is_available()
print(json.dumps({"torch": torch.__version__, "gpu": torch.cuda.get_device_name() if there else None}))
PY
start=$SECONDS
gpu_tests
code=$?
[ "$code" -eq 0 ] || failed=1
printf '{"part": "tests", "exit_code": %d, "seconds": %d}\n' "$code" $((SECONDS - start))
published=("$PYTHON" scripts/bench_published.py --data "$DATA" --cache "$site/cache" --device "$device" "${smoke[@]}")
part search_step 70 "$PYTHON" scripts/bench_search_step.py --device "$device" "${smoke[@]}"
part conv4 120 "${published[@]}" --nets conv4 --seconds 85
part transfer 40 "$PYTHON" scripts/bench_transfer.py --device "$device" "${smoke[@]}"
part loop 35 "$PYTHON" scripts/bench_loop.py --device "$device" "${smoke[@]}"
part conv6 105 "${published[@]}" --nets conv6 --seconds 80
part resnet18 45 "${published[@]}" --nets resnet18 --epochs 5 --seconds 25
exit "$failed"

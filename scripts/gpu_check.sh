#!/usr/bin/env bash
# What a machine with one GPU has to show, in under eight minutes and without a network.
#
#   scripts/gpu_check.sh [--smoke] [WHEELS]
#
# WHEELS is a folder of wheels for what the machine's Python lacks (hydra-core, omegaconf, antlr4-python3-runtime, mlxtend, ...);
# they go to a folder of their own, nothing is installed for good. DATA names the data folder (default: data), PYTHON the
# interpreter. Every part prints one JSON line as it ends, so that a cut loses little; --smoke takes seconds on a CPU.
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
if [ -n "${1:-}" ]; then
    "$PYTHON" -m pip install -q --no-index --no-deps --find-links "$1" --target "$site" "$1"/*.whl "$1"/*.tar.gz 2>/dev/null \
        || "$PYTHON" -m pip install -q --no-index --no-deps --target "$site" "$1"/*.whl
fi
export PYTHONPATH="$PWD:$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
failed=0

# part NAME SECONDS COMMAND...: run it, show its output, then one JSON line of what became of it.
part() {
    local name=$1 limit=$2 code=0 start=$SECONDS
    shift 2
    timeout "$limit" "$@" || code=$?
    [ "$code" -eq 0 ] || [ "$code" -eq 5 ] || failed=1
    printf '{"part": "%s", "exit_code": %d, "seconds": %d}\n' "$name" "$code" $((SECONDS - start))
}

"$PYTHON" - <<'PY'
import json

import torch

there = torch.cuda.is_available()
print(json.dumps({"torch": torch.__version__, "gpu": torch.cuda.get_device_name() if there else None}))
PY
part tests 60 "$PYTHON" -m pytest -q -m gpu -p no:cacheprovider tests
part search_step 60 "$PYTHON" scripts/bench_search_step.py --device "$device" "${smoke[@]}"
part conv4 110 "$PYTHON" scripts/bench_published.py --data "$DATA" --device "$device" --nets conv4 "${smoke[@]}"
part transfer 60 "$PYTHON" scripts/bench_transfer.py --device "$device" "${smoke[@]}"
part loop 40 "$PYTHON" scripts/bench_loop.py --device "$device" "${smoke[@]}"
part conv6 110 "$PYTHON" scripts/bench_published.py --data "$DATA" --device "$device" --nets conv6 "${smoke[@]}"
part resnet18 60 "$PYTHON" scripts/bench_published.py --data "$DATA" --device "$device" --nets resnet18 --epochs 10 "${smoke[@]}"
exit "$failed"

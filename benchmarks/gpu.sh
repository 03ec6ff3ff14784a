#!/usr/bin/env bash
# What a machine with one GPU can tell of this project, in 8 minutes at most, from a bare checkout.
#   benchmarks/gpu.sh            measures; writes to $OUT, or to benchmarks/results/gpu
#   benchmarks/gpu.sh --dry      prints the commands and their time limits; needs no GPU
# PYTHON names an interpreter that imports torch. Missing packages come from the wheels in .whl, if
# this folder exists (pip download -d .whl ...), without a network.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

dry=""
case "${1:-}" in
  "") ;;
  --dry) dry=1 ;;
  *) echo "usage: benchmarks/gpu.sh [--dry]" >&2; exit 2 ;;
esac
if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  [ ! -x .venv/bin/python ] || PYTHON=.venv/bin/python
fi
out="${OUT:-benchmarks/results/gpu}"
work="${TMPDIR:-/tmp}/fed_plugin_gpu.$$"
total=480
failed=""
export PYTHONPATH="$PWD:$work/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export FASTREID_DATASETS="$work/datasets"

# part NAME SECONDS COMMAND...: run a command within its limit and within what is left of the total.
part() {
  local name="$1" limit="$2" left
  shift 2
  if [ -n "$dry" ]; then
    echo "$name, at most $limit s: $*"
    return 0
  fi
  left=$((total - SECONDS))
  [ "$limit" -le "$left" ] || limit="$left"
  if [ "$limit" -le 5 ]; then
    echo "== $name: no time left"
    failed="$failed $name"
    return 0
  fi
  echo "== $name, at most $limit s"
  timeout "$limit" "$@" 2>&1 | tee "$work/$name.log" | tail -n 25
  if [ "${PIPESTATUS[0]}" -ne 0 ]; then
    echo "== $name: failed, or took longer than $limit s"
    failed="$failed $name"
  fi
}

finish() {
  local row
  for row in training_step_cuda training_memory_cuda test_forward_cuda; do
    cp "benchmarks/results/speed/$row.json" "$out/" 2>/dev/null
  done
  find "$work/cells" -name results.json -exec cp {} "$out/" \; 2>/dev/null
  tail -n +1 "$work"/*.log >"$out/log.txt" 2>/dev/null
  rm -rf "$work"
}

if [ -z "$dry" ]; then
  mkdir -p "$out" "$work/datasets" "$work/site"
  # The line of an installed .pth file, for an interpreter without one.
  echo "import projects_registry; projects_registry.arm()" >"$work/site/sitecustomize.py"
  trap finish EXIT
  if [ -d .whl ]; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --target "$work/site" .whl/*.whl
  fi
  "$PYTHON" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' || {
    echo "$PYTHON: expected a PyTorch that finds a GPU; try PYTHON=..., or --dry" >&2
    exit 1
  }
fi

part checks 90 "$PYTHON" benchmarks/gpu_checks.py --json "$out/checks.json"
part step 90 "$PYTHON" benchmarks/speed/training_step.py --rounds 10 --batch 64
part memory 60 "$PYTHON" benchmarks/speed/training_memory.py --batch 64
part forward 40 "$PYTHON" benchmarks/speed/test_forward.py
part workers 50 "$PYTHON" benchmarks/speed/loading.py --rounds 3 --workers 0 4 8 16 --out "$out"
part data 30 "$PYTHON" -m fed_plugin data synth --size medium --out "$work/datasets/SynthOcc"
# As many cells as fit: a cell that is stopped is not counted.
part cells 200 "$PYTHON" -m fed_plugin benchmark benchmarks/plans/synthocc.yml --out "$work/cells" \
  --only "ViT baseline" FED "FED plus" "FED without FDM"

if [ -n "$failed" ]; then
  echo "not finished:$failed"
  exit 1
fi

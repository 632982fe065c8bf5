#!/usr/bin/env bash
# A folder with an FP32 and an INT8 model, measured on a phone (or wherever --device says): res.txt, JSON and a page with charts.
[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@"  # started as `sh script`, as guides say
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: bench_phone.sh MODEL_DIR [--out DIR] [flags of `ptq bench`]
  MODEL_DIR     folder with fp32.nb and int8.nb, or fp32.onnx and int8.onnx; where `ptq eval --json` wrote eval_fp32.json
                and eval_int8.json beside them, the page shows the accuracy
  --out DIR     where res.txt, bench.json and bench.html go    [default: MODEL_DIR]
TEXT
}

die() { echo "error: $*" >&2; usage >&2; exit 2; }

case ${1:-} in
  -h | --help) usage; exit 0 ;;
  '' | -*) die "MODEL_DIR is missing" ;;
esac
folder=$1 out=$1; shift
if [[ ${1:-} == --out ]]; then
  (($# > 1)) || die "--out needs a value"
  out=$2; shift 2
fi
[[ -d $folder ]] || die "no folder $folder"

model() {
  local name
  for name in "$folder/$1.nb" "$folder/$1.onnx"; do
    [[ ! -f $name ]] || { echo "$name"; return; }
  done
  die "no $1.nb and no $1.onnx in $folder"
}
fp32=$(model fp32)
int8=$(model int8)
flags=()
for precision in fp32 int8; do
  [[ ! -f $folder/eval_$precision.json ]] || flags+=("--$precision-accuracy" "$folder/eval_$precision.json")
done
command -v ptq >/dev/null || { echo "error: no ptq on PATH; run make setup, then PATH=\$PWD/.venv/bin:\$PATH" >&2; exit 3; }
mkdir -p "$out"
exec ptq bench --fp32 "$fp32" --int8 "$int8" --result-filename "$out/res.txt" --json "$out/bench.json" \
  --html "$out/bench.html" ${flags[@]+"${flags[@]}"} "$@"

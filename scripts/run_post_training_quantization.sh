#!/usr/bin/env bash
# The whole way for one model: quantize, optimize FP32 and INT8, measure accuracy, measure latency, one table.
[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@"  # started as `sh script`, as guides say
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: run_post_training_quantization.sh --model-dir DIR --image-dir DIR [options] [-- flags of `ptq bench`]
  --model-dir DIR      folder with the FP32 .onnx model
  --image-dir DIR      folder of 100-500 calibration pictures
  --config FILE        YAML with preprocess, algo, skip_quant, ... (see configs/)
  --out DIR            where everything goes                        [default: out/MODEL_DIR's name]
  --targets LIST       where the .nb files will run                 [default: host,arm]
  --eval-dir DIR       labelled pictures, with
  --labels FILE        lines `file label`: adds the accuracy column
  --bench              adds latency on --device, as res.txt, JSON and an HTML page; what follows `--` goes to
                       `ptq bench`, for example -- --threads 1,2 --profile
  --device NAME        as of `ptq bench`                            [default: local]
  --set KEY=VALUE      any configuration key, may be repeated
TEXT
}

die() { echo "error: $*" >&2; usage >&2; exit 2; }

model_dir= image_dir= config= out= targets=host,arm eval_dir= labels= bench= device=local
extra=() bench_flags=()
while (($#)); do
  case $1 in
    --model-dir | --image-dir | --config | --out | --targets | --eval-dir | --labels | --device)
      (($# > 1)) || die "$1 needs a value"
      name=${1#--}; printf -v "${name//-/_}" '%s' "$2"; shift 2 ;;
    --set) (($# > 1)) || die "$1 needs a value"; extra+=(--set "$2"); shift 2 ;;
    --bench) bench=yes; shift ;;
    --) shift; bench_flags=("$@"); break ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $1" ;;
  esac
done
[[ -n $model_dir ]] || die "--model-dir is missing"
[[ -n $image_dir ]] || die "--image-dir is missing"
[[ -z $eval_dir$labels || ( -n $eval_dir && -n $labels ) ]] || die "--eval-dir and --labels go together"
[[ -n $bench || ${#bench_flags[@]} == 0 ]] || die "flags after -- are of \`ptq bench\`: they need --bench"
[[ -z $eval_dir || -n $config ]] || die "--eval-dir needs --config, for its preprocess"
command -v ptq >/dev/null || { echo "error: no ptq on PATH; run make setup, then PATH=\$PWD/.venv/bin:\$PATH" >&2; exit 3; }
out=${out:-out/$(basename "$model_dir")}
mkdir -p "$out"
# What an earlier run left here must not stand beside what this one measures.
rm -f "$out"/{fp32,int8}.nb "$out"/eval_{fp32,int8}.json "$out"/bench.{json,html} "$out"/res.txt \
  "$out"/int8_model/{model.onnx,quantization.json}

step() { echo; echo "== $*"; }

step "quantize"
ptq quantize ${config:+-c "$config"} --model-dir "$model_dir" --image-dir "$image_dir" \
  --save-model-path "$out/int8_model" ${extra[@]+"${extra[@]}"}
step "opt"
ptq opt --model-dir "$model_dir" --optimize-out "$out/fp32" --valid-targets "$targets"
ptq opt --model-dir "$out/int8_model" --optimize-out "$out/int8" --valid-targets "$targets" --prefer-int8-kernel
if [[ -n $eval_dir ]]; then
  for precision in fp32 int8; do
    step "eval $precision"
    ptq eval --model "$out/$precision.nb" --image-dir "$eval_dir" --labels "$labels" -c "$config" \
      --json "$out/eval_$precision.json"
  done
fi
if [[ -n $bench ]]; then
  step "bench"
  "$(dirname "$0")/bench_phone.sh" "$out" --device "$device" ${bench_flags[@]+"${bench_flags[@]}"}
fi
step "result"
"${PYTHON:-python3}" "$(dirname "$0")/result_table.py" "$out"

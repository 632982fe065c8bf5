#!/usr/bin/env bash
# Packs the source archive, makes a wheel of what is in it, installs that where no repository is, and uses both.
# $1 is a Python that has setuptools and the `build` extra.
set -euo pipefail
cd "$(dirname "$0")/.."
builder=$(realpath -s "$1")
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
quietly() { "$builder" "$root/runtime/quietly.py" "$root/build/package.log" "$@"; }
export XDG_CACHE_HOME=$scratch/cache
unset PTQ_RUNTIME_DIR PYTHONPATH

quietly "source archive" "$builder" -c "from setuptools import build_meta; build_meta.build_sdist('$scratch')"
tar -xzf "$scratch"/ptq-*.tar.gz -C "$scratch"
cd "$scratch"/ptq-*/
quietly "wheel of it, with this machine's runtime" \
  "$builder" -m pip wheel --verbose --no-build-isolation --no-deps --wheel-dir "$scratch/dist" .

quietly "an environment without a repository" "$builder" -m venv "$scratch/venv"
quietly "the wheel and what it needs" \
  "$scratch/venv/bin/pip" install --disable-pip-version-check "$(echo "$scratch"/dist/ptq-*.whl)[build]" pytest
export PATH=$scratch/venv/bin:$PATH
cd "$scratch"
python - <<'CODE'
import ptq_core, sys
assert ptq_core.__file__.startswith(sys.prefix), ptq_core.__file__
CODE
digits=$scratch/$(basename "$scratch"/ptq-*/)/examples/digits
preprocess=(--resize 32,32 --mean 127.5 --std 127.5)
ptq quantize -c accurate --model-dir "$digits/model" --image-dir "$digits/calibration_images" "${preprocess[@]}" \
  --batch-nums 2 --save-model-path int8_model
for precision in fp32 int8; do
  model=$([[ $precision == fp32 ]] && echo "$digits/model" || echo int8_model)
  ptq opt --model-dir "$model" --optimize-out "$precision" --valid-targets host,arm
done
ptq bench --fp32 fp32.nb --int8 int8.nb --repeats 5
echo "a phone's runtime, built on demand:"
ptq bench --int8 int8.nb --device qemu:cortex-a53 --repeats 2 --warmup 0
"$scratch"/ptq-*/scripts/run_post_training_quantization.sh --help >/dev/null
cd "$scratch"/ptq-*/
quietly "some of the source archive's tests" python -m pytest tests/test_config.py tests/test_docs.py tests/cli/test_cli.py

# Verbs of the project; `make help` lists them. Everything lives in .venv and build/, nothing else is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT := out/digits
ABI ?= host
TAILOR ?=
ABIS := host,arm64-v8a,armeabi-v7a,x86_64
# `make test SKIP=no` fails where a test misses something on this machine; ABIS=host leaves out the phones' runtimes.
SKIP ?= yes
QUIETLY = $(PYTHON) runtime/quietly.py build/setup.log
PIP_INSTALL = $(BIN)/pip install --disable-pip-version-check --no-input --progress-bar off
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help setup demo test sanitize attack fuzz fuzz-models fuzz-check lint format models bench bench-arm bench-phone performance opt-table others-table numerics-table accuracy runtime runtime-all wheel sdist pictures package-check clean distclean check-python check-sanitizer packages-test

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

check-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "missing: Python >= 3.10 (set PYTHON=...)"; exit 3; }
	@PYTHON=$(PYTHON) scripts/apt_packages.sh --require setup

# apt packages that the tests use: installed where that may be done, else their tests are not run.
packages-test:
	@scripts/apt_packages.sh $(if $(filter no,$(SKIP)),--require) test

$(BIN)/.setup: setup.cfg pyproject.toml setup.py | check-python
	@test -x $(BIN)/pip || $(QUIETLY) "a virtual environment in $(VENV)" $(PYTHON) -m venv --clear $(VENV)
	@$(QUIETLY) "pip: setuptools" $(PIP_INSTALL) 'setuptools>=77'
	@$(QUIETLY) "pip: what ptq and the build of its runtime need" $(PIP_INSTALL) --no-build-isolation --editable '.[build]'
	@touch $@

$(BIN)/.dev: $(BIN)/.setup
	@$(QUIETLY) "pip: what tests and lint need" $(PIP_INSTALL) --no-build-isolation --editable '.[build,dev]'
	@touch $@

setup: $(BIN)/.setup  ## the virtual environment .venv with ptq in it

# `make runtime TAILOR=NAME.tailor [ABI=arm64-v8a]` builds only what a model needs (ptq opt --record-tailoring-info).
runtime: $(BIN)/.setup  ## build the C++ runtime for this machine (TAILOR=FILE: only what a model needs)
	@$(BIN)/python runtime/build_runtime.py --abi $(ABI) $(if $(TAILOR),--tailor $(TAILOR))

runtime-all: $(BIN)/.setup  ## ... and for the phones' ABIs
	@$(BIN)/python runtime/build_runtime.py --abi $(ABIS)

demo: runtime  ## quantize -> opt -> eval -> bench on the embedded model, one result table
	@scripts/run_post_training_quantization.sh --config examples/digits/quantize.yaml \
	  --model-dir examples/digits/model --image-dir examples/digits/calibration_images \
	  --eval-dir examples/digits/test_images --labels examples/digits/test_labels.txt \
	  --targets host,arm --bench --out $(OUT)

# Words for `ptq bench`, for example FLAGS='--threads 1,2 --profile'.
FLAGS ?=
DEVICE ?= auto
bench-phone: $(BIN)/.setup  ## MODEL_DIR=...: fp32 and int8 models in it, measured on DEVICE: res.txt, JSON, HTML beside them (or in OUT=...)
	@test -n "$(MODEL_DIR)" || { echo "missing: MODEL_DIR=..., a folder with fp32.nb and int8.nb (or .onnx)"; exit 2; }
	@scripts/bench_phone.sh "$(MODEL_DIR)" $(if $(filter command%,$(origin OUT)),--out "$(OUT)") --device "$(DEVICE)" $(FLAGS)

test: packages-test $(BIN)/.dev  ## install what is missing where that may be done; all tests, C++ and Python; what could not run is listed
	@$(BIN)/python runtime/build_runtime.py --abi $(ABIS) --test $(if $(filter no,$(SKIP)),,--skip-missing)
	$(BIN)/python -m pytest $(if $(filter no,$(SKIP)),--no-skips)

SANITIZER_CXX ?= clang++-19
check-sanitizer:
	@command -v $(SANITIZER_CXX) >/dev/null || scripts/apt_packages.sh --require sanitize
	@mkdir -p build

# One build for the sanitized tests and for both fuzzing engines.
sanitize: check-sanitizer $(BIN)/.setup  ## the C++ tests under the address, undefined-behaviour and thread sanitizers (clang-19, libclang-rt-19-dev)
	cmake -G Ninja -S runtime -B build/sanitize -DCMAKE_CXX_COMPILER=$(SANITIZER_CXX) -DPTQ_SANITIZE=address,undefined \
	  -DPTQ_FUZZ=ON -DPTQ_BUILD_TESTS=ON -DPTQ_BUILD_SHARED=OFF > build/sanitize.log
	cmake --build build/sanitize >> build/sanitize.log || { cat build/sanitize.log; exit 1; }
	ctest --test-dir build/sanitize --output-on-failure -j 2
	cmake -G Ninja -S runtime -B build/tsan -DCMAKE_CXX_COMPILER=$(SANITIZER_CXX) -DPTQ_SANITIZE=thread \
	  -DPTQ_BUILD_TESTS=ON -DPTQ_BUILD_SHARED=OFF > build/tsan.log
	cmake --build build/tsan --target threads_test base_test >> build/tsan.log || { cat build/tsan.log; exit 1; }
	TSAN_OPTIONS=die_after_fork=0 ctest --test-dir build/tsan --output-on-failure -R '^(threads|base)_test$$'

# Both engines on one core, politely, for so many seconds each.
ENGINE ?= both
SECONDS ?= 3600
fuzz: check-sanitizer $(BIN)/.dev  ## fuzz the loader: ENGINE=libfuzzer|afl|both SECONDS=3600 (clang-19, afl++, llvm-19)
	nice -n 19 $(BIN)/python runtime/fuzz.py --engine $(ENGINE) --seconds $(SECONDS) --compiler $(SANITIZER_CXX) --coverage

fuzz-models: $(BIN)/.dev  ## fuzz the entrance of ONNX models, with coverage of ours: SECONDS=3600 (installs atheris)
	@$(QUIETLY) "pip: the fuzzer of Python" $(PIP_INSTALL) --no-build-isolation --editable '.[build,dev,fuzz]'
	nice -n 19 $(BIN)/python -m tests.attack.fuzz_models -max_total_time=$(SECONDS)

fuzz-check: check-sanitizer $(BIN)/.dev  ## ... for less than a minute, from the seeds alone
	$(BIN)/python runtime/fuzz.py --engine libfuzzer --runs 15000 --compiler $(SANITIZER_CXX) --fresh
	$(BIN)/python runtime/fuzz.py --engine afl --seconds 20 --compiler $(SANITIZER_CXX) --fresh

# On one core, politely, with what a seed makes the same again.
MINUTES ?= 60
attack: runtime $(BIN)/.dev  ## damaged inputs and faults against every command for MINUTES=60, then a soak of 10; writes docs/reliability.md
	nice -n 19 $(BIN)/python -m tests.attack --minutes $(MINUTES) --soak-minutes 10

lint: $(BIN)/.dev  ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@mkdir -p build/typing && ln -sfn ../../cli build/typing/ptq_cli  # mypy does not know setup.py's mapping
	$(BIN)/mypy
	find runtime examples benchmarks -name '*.cc' -o -name '*.h' -o -name '*.c' | xargs $(BIN)/clang-format --dry-run --Werror

format: $(BIN)/.dev  ## format Python and C++ in place
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	find runtime examples benchmarks -name '*.cc' -o -name '*.h' -o -name '*.c' | xargs $(BIN)/clang-format -i

build/peers/.installed: $(BIN)/.setup
	$(PYTHON) -m venv --clear build/peers
	build/peers/bin/pip install --quiet --disable-pip-version-check 'setuptools>=77'
	build/peers/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[peers]'
	@# ncnn's converter from ONNX is a program that needs nothing; the package around it would bring torch.
	build/peers/bin/pip install --quiet --disable-pip-version-check --no-deps pnnx
	@touch $@

models: $(BIN)/.setup  ## the models that latency is measured on, quantized and optimized, in build/models
	$(BIN)/python -m benchmarks.make_models

bench: runtime models build/peers/.installed  ## time, memory and latency of ptq on this machine and of its peers, side by side
	$(BIN)/python -m benchmarks.bench
	build/peers/bin/python -m benchmarks.bench_peers
	build/peers/bin/python -m benchmarks.bench_latency

bench-arm: models  ## the Arm kernels and whole inferences, modelled cycle by cycle (needs qemu-user and llvm-19)
	$(BIN)/python -m benchmarks.bench_arm

performance: runtime models build/peers/.installed  ## measure the tables of docs/performance.md again (needs an idle machine)
	$(BIN)/python -m benchmarks.performance_doc

opt-table: runtime models  ## run `ptq opt` on every model again, and write the table of docs/opt.md
	$(BIN)/python -m benchmarks.opt_doc

others-table: runtime  ## take files of other quantizers through `ptq opt` again, and write the table of docs/opt.md
	$(BIN)/python -m benchmarks.others_table

numerics-table: runtime  ## compare int8 operators with onnxruntime on this CPU again, and write the table of docs/numerics.md
	$(BIN)/python -m benchmarks.numerics_table

accuracy: runtime  ## what each configuration costs in accuracy on the real model (about 15 minutes)
	$(BIN)/python -m benchmarks.accuracy

wheel: $(BIN)/.setup  ## dist/*.whl with the runtime of this machine and of all phones (about 5 minutes on two cores)
	@PTQ_ABIS=all $(QUIETLY) "the wheel, with every runtime" $(BIN)/pip wheel --verbose --disable-pip-version-check \
	  --no-build-isolation --no-deps --wheel-dir dist .

sdist: $(BIN)/.setup  ## dist/*.tar.gz, the source archive
	@mkdir -p dist
	@$(QUIETLY) "the source archive" $(BIN)/python -c 'from setuptools import build_meta; build_meta.build_sdist("dist")'

pictures: $(BIN)/.setup  ## the pictures of the README, from what `make demo` left (needs chromium and graphviz)
	@$(BIN)/python -m benchmarks.pictures

package-check: $(BIN)/.setup  ## the source archive and a wheel made of it, installed elsewhere, do what they should (about 5 minutes)
	@PYTHON=$(PYTHON) scripts/check_package.sh $(BIN)/python

clean:  ## remove what was built, keep .venv
	rm -rf build dist out ptq_core/_runtime *.egg-info temp_post_training

distclean: clean  ## ... and .venv
	rm -rf $(VENV)

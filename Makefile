# make quickstart   everything from nothing: environment, data, training, test
# make demo         what somebody does in a video; the first time, a pose model of 10 MB is fetched
# make test         every test
# Needs Python >= 3.10 and make; all else is installed into .venv.

PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: help quickstart demo test fuzz lint clean
help:
	@sed -n '1,3s/^# //p' Makefile

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("error: this is Python %d.%d; 3.10 or newer is needed (make PYTHON=python3.x ...)" % sys.version_info[:2] if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-tests: tests/requirements.txt .venv/installed
	$(RUN) -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

data/synthetic/val_data.npy: | .venv/installed
	$(RUN) tools/synthetic_gendata.py

quickstart: .venv/installed data/synthetic/val_data.npy
	$(RUN) main.py recognition -c config/quickstart/train.yaml
	$(RUN) main.py recognition -c config/quickstart/train.yaml --phase test
	@echo "Look at it in a browser: work_dir/quickstart/report.html"

demo: .venv/installed
	$(RUN) main.py demo

test: .venv/installed-tests
	$(RUN) -m pytest

fuzz: .venv/installed-tests
	$(RUN) -m tests.fuzz $(N)

lint: .venv/installed-tests
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

clean:
	rm -rf .venv work_dir/quickstart data/synthetic

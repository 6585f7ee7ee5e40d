# make test   runs the test suite; make demo   shows the whole job on a generated world.
# Both install what they need into .venv first, once.

PYTHON ?= python3
BIN := .venv/bin
DEMO := saved/demo
WORLD := $(DEMO)/world
# The seed of the world that is shown, and how many narrations its splits have: as many labelled
# ones (val) as CIN has.
WORLD_OPTIONS := --seed 1 --train 200 --val 880 --test 200

.PHONY: test demo

test: .venv/installed
	$(BIN)/python -m pytest

demo: .venv/installed $(WORLD)/README
	$(BIN)/python main.py --use-ema --use-ssl --model_config configs/sample.json --ssl_loss con \
	    --bbox-reg --grounding --data-root $(WORLD) --save_name demo/model
	$(BIN)/python main.py --use-ema --use-ssl --model_config configs/sample.json --ssl_loss con \
	    --no-regions --data-root $(WORLD) --save_name demo/text_only
	$(BIN)/python test_coref.py --bbox-reg --save_name $(DEMO)/model/models.pt \
	    --output $(DEMO)/coref --json $(DEMO)/coref.json
	$(BIN)/python test_coref.py --save_name $(DEMO)/text_only/models.pt \
	    --output $(DEMO)/text_only/coref --json $(DEMO)/text_only.json
	$(BIN)/python test_grounding.py --bbox-reg --save_name $(DEMO)/model/models.pt \
	    --output $(DEMO)/coref --json $(DEMO)/grounding.json
	PYTHONUTF8=1 $(BIN)/scorch $(DEMO)/coref/gold_count/test/ $(DEMO)/coref/modelrefs/test/
	$(BIN)/python tools/summary.py --coref $(DEMO)/coref.json --text-only $(DEMO)/text_only.json \
	    --grounding $(DEMO)/grounding.json
	@echo "world: $(WORLD)   models: $(DEMO)/model   chains: $(DEMO)/coref"

$(WORLD)/README: .venv/installed Makefile tools/make_sample.py $(wildcard data/sample_world/*.py)
	rm -rf $(WORLD) $(DEMO)/coref $(DEMO)/text_only/coref
	$(BIN)/python tools/make_sample.py --out $(WORLD) $(WORLD_OPTIONS)

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements.txt
	touch $@

"""Configuration files, ours and the published ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from utils.config import (
    Config,
    ConfigError,
    check_same_architecture,
    config_from_checkpoint,
    config_to_dict,
    make_config,
    read_config_file,
)

CONFIGS = REPOSITORY / "configs"
NAMED_BY_OTHERS = ("config_bert.json", "uniter-base.json")


def written(folder: Path, content: object) -> Path:
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_published_configuration_is_read_as_it_is_shipped() -> None:
    values, ignored = read_config_file(CONFIGS / "mcr_config.json")
    config = make_config(values, {})
    assert (config.text_layers, config.fusion_layers) == (2, 2)
    assert (config.region_layers, config.region_heads) == (1, 2)
    assert (config.region_feature_size, config.region_feedforward_size) == (2048, 3072)
    assert config.image_text_temperature == 0.07
    assert (config.mlm_probability, config.max_mentions) == (0.15, 128)
    assert config.text_encoder == "bert-base-uncased"
    assert "add_cross_attention" in ignored
    assert "config_bert.json: encoder_width" in ignored


def test_the_published_training_settings_are_the_defaults() -> None:
    config = Config()
    assert (config.lr, config.weight_decay, config.epochs) == (1e-5, 0.01, 50)
    assert (config.warmup_epochs, config.lr_step_epochs, config.lr_step_factor) == (2, 10, 0.95)
    assert (config.ema_decay, config.seed, config.coreference_temperature) == (0.999, 42, 0.1)


@pytest.mark.parametrize(
    "path",
    # The other two are read through mcr_config.json, which names them.
    sorted(set(CONFIGS.glob("*.json")) - set(map(CONFIGS.joinpath, NAMED_BY_OTHERS))),
    ids=lambda path: path.name,
)
def test_every_shipped_configuration_is_read(path: Path) -> None:
    make_config(read_config_file(path)[0], {})


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    values, _ = read_config_file(written(tmp_path, {"lr": 1e-3, "epochs": 3}))
    config = make_config(values, {"epochs": 4})
    assert (config.lr, config.epochs, config.batch) == (1e-3, 4, 8)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"lerning_rate": 1, "text_layer": 2}, "unknown key 'lerning_rate'"),
        ({"text_layer": 2}, "did you mean 'text_layers'"),
        ({"img_dim": 5, "region_feature_size": 6}, "a second time"),
        ("[1]", "expected a JSON object"),
        ("{", "is not JSON"),
        ('{"lr": 1, "lr": 2}', "key 'lr' stands twice"),
        ({"batch": 0}, "batch: found 0"),
        ({"bert_config": 3}, "expected a path"),
        ({"bert_config": "no/such.json"}, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: object, said: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigError, match=said) as error:
        read_config_file(path)
    assert "config.json" in str(error.value) or "such.json" in str(error.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": "5"}, "epochs: found '5', expected a whole number"),
        ({"epochs": True}, "epochs: found True"),
        ({"grounding": 1}, "grounding: found 1, expected true or false"),
        ({"lr": "fast"}, "lr: found 'fast', expected a number"),
        ({"batch": 0}, "batch: found 0, expected 1 to inf"),
        ({"held_out": 1.0}, "held_out"),
        ({"dropout": float("nan")}, "dropout: found nan"),
        ({"lr": float("inf")}, "lr: found inf, expected a number up to"),
        ({"lr": 10**400}, r"lr: found 10+\.\.\.0+, expected a number up to"),
        ({"batch": 2**63}, r"batch: found 9223372036854775808, expected a whole number up to"),
        ({"coreference_loss": "cos"}, "con, fro, sigmoid"),
        ({"word_vector_size": 128}, "word_vector_size: found 128 without sense2vec"),
    ],
)
def test_a_wrong_value_is_named(values: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_config(values, {})


def test_all_wrong_values_and_unknown_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^batch: found 0, expected 1 to inf; epochs: found '5'"):
        make_config({"lr": 1, "batch": 0}, {"epochs": "5"})
    path = written(tmp_path, {"lerning_rate": 1, "lr": 1, "text_layer": 2})
    with pytest.raises(ConfigError, match="unknown key 'lerning_rate'.*; unknown key 'text_layer'"):
        read_config_file(path)


def test_whole_numbers_count_as_numbers() -> None:
    assert make_config({"lr": 1}, {}).lr == 1.0


def test_a_configuration_survives_a_checkpoint() -> None:
    config = Config(lr=0.5, dataset="vd_ref")
    assert config_from_checkpoint(config_to_dict(config)) == config
    older = {key: value for key, value in config_to_dict(config).items() if key != "weight_decay"}
    assert config_from_checkpoint(older) == config
    with pytest.raises(ConfigError, match="unknown keys: colour"):
        config_from_checkpoint({**config_to_dict(config), "colour": "red"})


def test_a_configuration_of_another_architecture_is_refused() -> None:
    same = {"text_layers": 2, "lr": 7.0}
    check_same_architecture(same, Config(), Path("file"), Path("model"))
    with pytest.raises(ConfigError, match="text_layers is 3 in the file and 2 in the model"):
        check_same_architecture({"text_layers": 3}, Config(), Path("file"), Path("model"))

"""The ablation's plan and page; nothing is trained."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from data.readers import read_narrations
from experiments import ablation
from experiments.ablation_data import NO_LABEL, patience, remove_region_labels
from experiments.ablation_page import draw, format_section
from experiments.ablation_results import Result, chosen_rate, read_results, summarize
from experiments.ablation_rows import CUMULATIVE, ROWS, choose_rows
from experiments.ablation_settings import Settings, option_parser, settings_of
from experiments.runner import mean_and_std, run_logged
from tests.support import cin_files
from utils.errors import InputError

RATES = (1e-4, 3e-4)
COREFERENCE = {"documents": 100, "rules": {"singletons": 46.0, "same head word": 64.0}}


def settings(folder: Path, *options: str) -> Settings:
    command = ["--out", str(folder), "--lrs", *map(str, RATES), *options]
    return settings_of(option_parser().parse_args(command))


def result(run: ablation.Run, of: Settings, conll: float = 50.0, held_out: float = 60.0) -> Result:
    config = ablation.config_of(run, of)
    return Result(
        row=run.row.name,
        seed=run.seed,
        rate=run.rate,
        scores={"conll": conll, "lea": 40.0} | ({"grounding": 30.0} if config.grounding else {}),
        held_out_conll=held_out,
        labelled=7,
        held_out=3,
        unlabelled=490 * config.use_unlabelled,
        seconds=200.0,
        shared=ablation.shared_facts(config, COREFERENCE, of),
        config=ablation.portable(config),
    )


def test_every_row_adds_to_the_one_before_it(tmp_path: Path) -> None:
    of = settings(tmp_path)
    runs = [ablation.Run(row, 0, 1e-4) for row in CUMULATIVE]
    configs = [ablation.portable(ablation.config_of(run, of)) for run in runs]
    added = [
        {name for name, value in row.items() if value != before[name]}
        for before, row in itertools.pairwise(configs)
    ]
    assert added == [
        {"use_unlabelled", "mlm_probability", "image_text_weight"},
        {"use_pseudo_labels", "pseudo_coreference_weight", "pseudo_positive_above"},
        {"pseudo_grounding_weight", "pseudo_region_above"},
        {"use_ema"},
        {"pseudo_propagation_steps"},
    ]


@pytest.mark.parametrize("dataset", ROWS)
def test_all_rows_have_the_same_updates(tmp_path: Path, dataset: str) -> None:
    options = [] if dataset == "cin" else ["--data-root", "data"]
    of = settings(tmp_path, "--dataset", dataset, "--epochs", "3", "--steps", "7", *options)
    for row in ROWS[dataset]:
        config = ablation.config_of(ablation.Run(row, 1, 1e-4), of)
        assert (config.epochs, config.steps_per_epoch) == (3, 7), row.name
        assert ablation.shared_facts(config, COREFERENCE, of)["updates"] == 21


def test_only_the_label_rows_read_more_labels(tmp_path: Path) -> None:
    of = settings(tmp_path)
    rows = {r.name: ablation.config_of(ablation.Run(r, 0, 1e-4), of) for r in ROWS["cin"]}
    other = {name: c.label_fraction for name, c in rows.items() if c.label_fraction != 0.05}
    assert other == {"labels-20": 0.2, "labels-100": 1.0}
    # The mentions of the captions are found by a pipeline that has seen the same share.
    assert len({rows[name].data_root for name in ("ema", "labels-20", "labels-100")}) == 3
    assert rows["no-region-labels"].data_root != rows["ema"].data_root == rows["traces"].data_root


def test_the_commands_of_a_run(tmp_path: Path) -> None:
    of = settings(tmp_path)
    train, coreference, grounding = ablation.commands_of(ablation.Run(CUMULATIVE[0], 2, 3e-4), of)
    folder = tmp_path / "cin" / "supervised-seed2-lr0.0003"
    assert train[0] == sys.executable and train[1].endswith("main.py")
    assert train[2:6] == [
        "--model_config", str(folder / "config.json"), "--save_name", str(folder),
    ]  # fmt: skip
    assert coreference[1].endswith("test_coref.py") and grounding[1].endswith("test_grounding.py")
    assert str(folder / "models.pt") in coreference and "test" in coreference
    (text_alone,) = choose_rows("cin", ["text-alone"])
    assert len(ablation.commands_of(ablation.Run(text_alone, 0, 1e-4), of)) == 2


def test_a_pipeline_of_few_labels_waits_longer() -> None:
    assert [patience(labels) for labels in (6, 24, 120)] == [40, 10, 3]


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(InputError, match="no row 'emma'; did you mean 'ema'"):
        choose_rows("cin", ["emma"])


def test_data_are_given_where_they_are_not_generated(tmp_path: Path) -> None:
    for options in (["--dataset", "vd_ref"], ["--data-root", "data"]):
        with pytest.raises(InputError, match="--data-root"):
            settings(tmp_path, *options)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that were done; each does better the higher its rate."""
    names: list[str] = []

    def train_and_score(run: ablation.Run, of: Settings) -> Result:
        names.append(run.name)
        found = result(run, of, conll=50.0 + run.seed, held_out=1e5 * run.rate)
        found.write(of.results / f"{run.name}.json")
        return found

    monkeypatch.setattr(ablation, "train_and_score", train_and_score)
    monkeypatch.setattr(ablation, "prepare", lambda row, of: None)
    return names


def test_the_first_seed_chooses_the_rate_and_a_finished_run_is_not_repeated(
    tmp_path: Path, trained: list[str]
) -> None:
    rows = choose_rows("cin", ["ema", "traces"])
    ablation.run_rows(rows, settings(tmp_path))
    expected = ["ema-seed0-lr0.0001", "ema-seed0-lr0.0003", "ema-seed1-lr0.0003"]
    expected += ["ema-seed2-lr0.0003", "traces-seed0-lr0.0001", "traces-seed0-lr0.0003"]
    assert trained == expected
    (tmp_path / "cin" / "ema-seed1-lr0.0003.json").unlink()
    ablation.run_rows(rows, settings(tmp_path))
    assert trained == [*expected, "ema-seed1-lr0.0003"]


def test_a_run_with_other_settings_is_not_taken_for_this_one(
    tmp_path: Path, trained: list[str]
) -> None:
    rows = choose_rows("cin", ["ema"])
    ablation.run_rows(rows, settings(tmp_path, "--seeds", "1"))
    for option, said in (("--epochs", "epochs 5, expected 9"), ("--train", "data_root")):
        with pytest.raises(InputError, match=said):
            ablation.run_rows(rows, settings(tmp_path, "--seeds", "1", option, "9"))


def test_the_page_is_written_from_what_is_there(tmp_path: Path, trained: list[str], capsys) -> None:
    command = ["--out", str(tmp_path), "--docs", str(tmp_path / "docs")]
    with pytest.raises(InputError, match="no finished run"):
        ablation.main([*command, "--only-table"])
    ablation.main([*command, "--rows", "supervised", "text-alone", "--lrs", "1e-4"])
    count = len(trained)
    vd_ref = ["--dataset", "vd_ref", "--data-root", "data", "--lrs", "1e-4", "--seeds", "2"]
    ablation.main([*command, *vd_ref])
    assert len(trained) == count + 2 * len(ROWS["vd_ref"])
    page = (tmp_path / "docs" / "ablation.md").read_text()
    (tmp_path / "docs" / "ablation.md").unlink()
    ablation.main([*command, "--only-table"])
    assert len(trained) == count + 2 * len(ROWS["vd_ref"])
    assert (tmp_path / "docs" / "ablation.md").read_text() == page
    row = "| supervised: coreference, grounding, boxes | 7 | 3 | 0 | 51.0 ± 1.0 | 40.0 ± 0.0 "
    assert row + "| 30.0 ± 0.0 | 0.0001 | 3 |" in page
    assert "| EMA row, text alone | 7 | 3 | 490 | 50.0 | 40.0 | - | 0.0001 | 1 |" in page
    assert "## vd_ref: VD-Ref" in page and "150 updates of batch 6" in page
    assert "CoNLL F1 of 64.0 (same head word)" in page
    assert "(ablation.svg)" in page


def test_the_best_rate_is_that_of_the_first_seed(tmp_path: Path) -> None:
    of = settings(tmp_path)
    low, high = (ablation.Run(CUMULATIVE[0], 0, rate) for rate in RATES)
    later = ablation.Run(CUMULATIVE[0], 1, high.rate)
    results = [result(low, of, held_out=9), result(high, of, held_out=8)]
    assert chosen_rate([*results, result(later, of, held_out=99)]) == low.rate
    assert chosen_rate([result(low, of), result(high, of)]) == low.rate


def test_means_and_deviations(tmp_path: Path) -> None:
    assert mean_and_std([1.0, 2.0, 6.0]) == "3.0 ± 2.6"
    assert mean_and_std([5.0]) == "5.0" and mean_and_std([]) == "-"
    of = settings(tmp_path)
    # A seed at a rate that was not chosen does not count.
    runs = [(0, 1e-4, 10.0, 70), (0, 3e-4, 20.0, 80), (1, 3e-4, 40.0, 10), (1, 1e-4, 99.0, 99)]
    results = [
        result(ablation.Run(CUMULATIVE[0], seed, rate), of, conll, held_out)
        for seed, rate, conll, held_out in runs
    ]
    (summary,) = summarize(results, ROWS["cin"])
    assert (summary.rate, summary.values("conll")) == (3e-4, [20.0, 40.0])
    assert "30.0 ± 14.1" in format_section("cin", results, ROWS["cin"])


def test_the_plot_is_an_image_with_a_dot_for_each_run(tmp_path: Path) -> None:
    of = settings(tmp_path)
    runs = [ablation.Run(row, seed, 1e-4) for row in CUMULATIVE for seed in range(3)]
    drawn = ElementTree.fromstring(draw({"cin": [result(run, of) for run in runs]}, ROWS))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}circle")) == len(runs)


def test_runs_that_do_not_compare_make_no_table(tmp_path: Path) -> None:
    run = ablation.Run(CUMULATIVE[0], 0, 1e-4)
    result(run, settings(tmp_path)).write(tmp_path / "a.json")
    result(run, settings(tmp_path, "--steps", "9")).write(tmp_path / "b.json")
    with pytest.raises(
        InputError, match=r"b\.json: found updates 45, expected 150 as in .*a\.json"
    ):
        read_results(tmp_path, ROWS["cin"])
    (tmp_path / "a.json").write_text(json.dumps({"row": "supervised"}))
    with pytest.raises(InputError, match=r"a\.json: found no result"):
        read_results(tmp_path, ROWS["cin"])


def test_a_failing_command_ends_with_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.log"
    program = "import sys; print('begun'); print('1\\r2\\rbroken.json: no such file'); sys.exit(3)"
    run_logged([sys.executable, "-c", "print('before')"], log)
    with pytest.raises(InputError, match="exit status 3 .*run.log ends:\nbefore") as raised:
        run_logged([sys.executable, "-c", program], log)
    assert str(raised.value).endswith("begun\n1\n2\nbroken.json: no such file")


def test_regions_without_labels_keep_all_else(tmp_path: Path) -> None:
    image = cin_files.DEFAULT_REGIONS["val"]["101"]
    regions = {"val": {"101": image}, "test": {"201": image}, "train": {"301": image}}
    cin_files.write_cin_folder(tmp_path, regions=regions)
    folder = tmp_path / "faster_rcnn_image_features"
    before = json.loads((folder / "val_detection_dict.json").read_text())["101"]
    remove_region_labels(folder)
    after = json.loads((folder / "val_detection_dict.json").read_text())["101"]
    assert after["bboxes"] == before["bboxes"] and "attrs" not in after
    assert after["classes"] == [NO_LABEL] * len(before["classes"])
    assert read_narrations("cin", tmp_path, "val").narrations


def test_narrations_are_counted_and_some_are_held_out(tmp_path: Path) -> None:
    ids = [str(number) for number in range(100, 140)]
    mention = cin_files.MentionNote("A man", 0, [[10, 20, 30, 40]])
    cin_files.write_cin_folder(
        tmp_path,
        annotations=[cin_files.annotation(i, "val", "A man stands.", [mention]) for i in ids],
        captions={"301": ["a man stands"]},
        regions={"train": {"301": cin_files.DEFAULT_REGIONS["val"]["101"]}},
    )
    of = settings(tmp_path, "--label-fraction", "0.5")
    for row, unlabelled in ((CUMULATIVE[0], 0), (CUMULATIVE[-1], 21)):
        config = ablation.config_of(ablation.Run(row, 0, 1e-4), of)
        counts = ablation.count_narrations(replace(config, data_root=str(tmp_path)))
        assert counts["labelled"] + counts["held_out"] == 20
        assert counts["unlabelled"] == unlabelled
    few = ablation.config_of(
        ablation.Run(CUMULATIVE[0], 0, 1e-4), settings(tmp_path, "--held-out", "0")
    )
    with pytest.raises(InputError, match="0 held out, expected some of both"):
        ablation.count_narrations(replace(few, data_root=str(tmp_path)))

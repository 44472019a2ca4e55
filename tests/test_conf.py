"""Every file under conf/ is composed and run."""

import io
from dataclasses import fields
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hydra import compose, initialize_config_dir
from PIL import Image

from alupdate.config import RunConfig, run_prefix
from alupdate.config.check import parse_config
from alupdate.config.help import help_text
from alupdate.config.options import PACKAGES, options
from alupdate.data.disturbances import Disturbances
from alupdate.results.reader import read_results
from alupdate.utils.paths import conf_dir
from tests.support.images import small_files, write_folder
from tests.support.known_sets import BUILDERS
from tests.support.openml_tables import build_openml, letters
from tests.support.runs import run_small
from tests.support.tiny_bert import save_tiny_bert
from tests.test_slurm_presets import PRESETS

GROUPS = (
    "dataset",
    "disturbance",
    "backbone",
    "strategy",
    "batch",
    "update",
    "posterior",
    "training",
    "task",
    "tracker",
    "stop",
    "annotator",
    "forecast",
)
OPTIONS = [
    (group, path.stem) for group in GROUPS for path in sorted((conf_dir() / group).glob("*.yaml"))
]
ABOUT_OTHER_RUNS = [("task", "status"), ("task", "rerun")]  # tests/sweep/test_sweeps.py runs them
LABELLING = [("task", "suggest"), ("task", "label"), ("task", "serve"), ("task", "predict")]
"""Of one's own data or model: tests/labelling, tests/labelstudio and tests/experiment run them."""
EXPERIMENT_FILES = conf_dir() / "experiment"
EXPERIMENTS = sorted(
    str(path.relative_to(EXPERIMENT_FILES).with_suffix(""))
    for path in EXPERIMENT_FILES.rglob("*.yaml")
)
SETTINGS = sorted(path.stem for path in (conf_dir() / "setting").glob("*.yaml"))
ONE_JOB = {
    "paper/batch_selection": ("strategy=margin", "batch=sequential"),
    "paper/lookahead": ("strategy=lookahead", "strategy.n_batches=3"),
    "paper/candidate_batches": ("strategy.n_batches=3",),
    "realistic": ("strategy=margin",),
}
"""Of the sweeps whose strategies run above and in strategies/at_once."""
SIZES = {
    "cifar10": 10, "snacks": 20, "dtd": 50, "dbpedia": 10, "banking77": 200, "clinc150": 150,
    "digits": 10, "mnist5k": 10,
}  # fmt: skip
"""Acquisition sizes: those of the paper, and of the embedded data sets."""
SMALL_STUDY = ("task.initial_sizes=[10,20]", "task.new_sizes=[2]")
TEXT_BACKBONE = ("backbone=transformers", "backbone.model=tiny_bert")
TEXT_DATASET = ("dataset=csv", "dataset.train=texts/train.csv", "dataset.test=texts/test.csv")
SMALL_IMAGES = ("dataset=npz", "dataset.path=images.npz", "backbone.image_size=32")
OFFLINE_IMAGES = (*SMALL_IMAGES, "backbone.weights=random")
EXTRA = {
    ("task", "updating"): SMALL_STUDY,
    ("dataset", "npz"): ("dataset.path=data.npz", "backbone=identity"),
    ("dataset", "imagefolder"): ("dataset.path=photographs",),
    **{("dataset", name): ("dataset.root=photographs",) for name in BUILDERS},
    **{
        ("dataset", name): ("dataset.root=tables", "dataset.table=letter", "backbone=identity")
        for name in ("openml", "letter", "pendigits")
    },
    ("dataset", "csv"): ("dataset.path=texts/train.csv", *TEXT_BACKBONE),
    ("dataset", "parquet"): ("dataset.path=features.parquet", "backbone=identity"),
    **{
        ("dataset", name): ("dataset.root=texts", *TEXT_BACKBONE)
        for name in ("banking77", "clinc150", "agnews", "dbpedia", "trec")
    },
    ("dataset", "snacks"): (
        "dataset.root=snacks",
        "backbone=efficientnet_lite0",
        "backbone.image_size=32",
    ),
    ("strategy", "skactiveml"): ("strategy.query_strategy=Falcun",),
    ("strategy", "plugin"): ("strategy.module=own_strategy",),
    ("backbone", "minilm"): TEXT_DATASET,
    ("backbone", "bert"): (*TEXT_DATASET, "backbone.model=tiny_bert"),
    ("backbone", "transformers"): (*TEXT_DATASET, "backbone.model=tiny_bert"),
    ("backbone", "identity"): ("dataset=npz", "dataset.path=data.npz"),
    ("backbone", "efficientnet_lite0"): SMALL_IMAGES,
    ("backbone", "dinov2_vitb14"): OFFLINE_IMAGES,
    ("backbone", "dinov2_vits14"): OFFLINE_IMAGES,
    ("backbone", "resnet18"): OFFLINE_IMAGES,
    ("backbone", "resnet50"): OFFLINE_IMAGES,
    ("backbone", "vit_b_16"): OFFLINE_IMAGES,
    ("backbone", "timm"): (*OFFLINE_IMAGES, "backbone.model=test_resnet"),
}


def make_archives(folder):
    rng = np.random.default_rng(0)
    labels = {"y_train": np.arange(90) % 3, "y_test": np.arange(30) % 3}
    for name, shape, kind in (("data", (5,), float), ("images", (8, 8, 3), np.uint8)):
        arrays = {
            f"X_{part}": (rng.random((count, *shape)) * 255).astype(kind)
            for part, count in (("train", 90), ("test", 30))
        }
        np.savez(folder / f"{name}.npz", **arrays, **labels)


def make_photographs(folder):
    write_folder(folder / "photographs", small_files(per_class=40))


def make_openml_tables(folder):
    build_openml(folder / "tables", "letter", *letters())


def make_tables(folder):
    """Texts with every publisher's names of columns, features, and encoded images."""
    (folder / "texts").mkdir()
    (folder / "snacks").mkdir()
    for part, count in (("train", 90), ("test", 30)):
        labels = np.arange(count) % 3
        texts = [f"{'abc'[i % 3] * 3} {i}" for i in range(count)]
        columns = {"text": texts, "content": texts}
        columns |= dict.fromkeys(("label", "intent", "coarse_label"), labels)
        pd.DataFrame(columns).to_csv(folder / "texts" / f"{part}.csv", index=False)
        cells = [{"bytes": png((0, 50 * (i % 3), i))} for i in range(count)]
        table = pa.table({"image": cells, "label": labels})
        pq.write_table(table, folder / "snacks" / f"{part}.parquet")
    features = {"a": np.arange(90.0), "b": np.ones(90), "label": np.arange(90) % 3}
    pq.write_table(pa.table(features), folder / "features.parquet")


def png(colour):
    content = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="module")
def shared_data(tmp_path_factory):
    """Small data of every kind, a model of texts, and a plug-in."""
    folder = tmp_path_factory.mktemp("data")
    for make in (make_archives, make_photographs, make_openml_tables, make_tables):
        make(folder)
    save_tiny_bert(folder / "tiny_bert")
    code = (
        "from alupdate.strategies.uncertainty import Margin\nmake_strategy = lambda _: Margin()\n"
    )
    (folder / "own_strategy.py").write_text(code)
    return folder


@pytest.fixture
def data(shared_data, tmp_path):
    for path in shared_data.iterdir():
        (tmp_path / path.name).symlink_to(path)


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("group", "option"), [o for o in OPTIONS if o not in (*ABOUT_OTHER_RUNS, *LABELLING)]
)
def test_option_runs(group, option, monkeypatch, tmp_path):
    extra = EXTRA.get((group, option), ())
    assert run_small(monkeypatch, tmp_path, f"{group}={option}", *extra) == 0
    if (group, option) == ("task", "updating"):
        assert set(read_results(tmp_path / "results").updates["n_initial"]) == {10, 20}
    elif option in ("describe", "features"):
        assert not (tmp_path / "results").exists()
    else:
        curve = read_results(tmp_path / "results").curves
        votes = 3 if (group, option) == ("annotator", "several") else 1
        assert curve["n_labelled"].tolist() == [10 * votes, 13 * votes, 16 * votes]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_runs(experiment, monkeypatch, tmp_path):
    arguments = ["-m", f"experiment={experiment}", "seed=0"]
    is_study = "task: updating" in (EXPERIMENT_FILES / f"{experiment}.yaml").read_text()
    if is_study:
        arguments += [*SMALL_STUDY, "update.n_hypotheses=100"]
    else:
        arguments.append("n_cycles=1")
    arguments += ONE_JOB.get(experiment, ())
    assert run_small(monkeypatch, tmp_path, *arguments) == 0
    results = read_results(tmp_path / "results")
    assert len(results.updates if is_study else results.curves) >= 2


def test_settings_of_the_paper():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for setting, size in SIZES.items():
            chosen = ["experiment=paper/candidate_batches", f"setting={setting}"]
            config = parse_config(compose("config", chosen))
            assert config.batch.size == config.n_initial == size
            assert config.n_cycles == 20
            assert run_prefix(config).split("-")[2] == "lookahead_300"
    assert sorted(SIZES) == SETTINGS


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_sweeps_are_over_options_that_exist(experiment):
    tree = yaml.safe_load((EXPERIMENT_FILES / f"{experiment}.yaml").read_text())
    for key, values in tree["hydra"]["sweeper"]["params"].items():
        if key in GROUPS:
            assert {(key, value.strip()) for value in values.split(",")} <= set(OPTIONS)


def test_every_file_is_covered():
    covered = {f"{group}/{option}" for group, option in OPTIONS}
    covered |= {f"experiment/{name}" for name in EXPERIMENTS}
    covered |= {f"setting/{name}" for name in SETTINGS}
    covered |= {"config"} | {f"shared/{group}" for group in ("update", "posterior", "training")}
    covered |= {f"hydra/launcher/{name}" for name in PRESETS}  # by tests/test_slurm_presets.py
    present = {
        str(path.relative_to(conf_dir()).with_suffix("")) for path in conf_dir().rglob("*.yaml")
    }
    assert present == covered


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_file_names_every_key_of_its_schema(group, option):
    """So that each can be set on the command line without a plus sign."""
    text = yaml.safe_load((conf_dir() / group / f"{option}.yaml").read_text())
    if "defaults" in text:
        place = "disturbance/clean" if group == "disturbance" else f"shared/{group}"
        text |= yaml.safe_load((conf_dir() / f"{place}.yaml").read_text())
        del text["defaults"]
    if group == "dataset":
        text |= yaml.safe_load((conf_dir() / "disturbance" / "clean.yaml").read_text())
    assert set(text) == {field.name for field in fields(schema_of(group, text.get("name")))}


def schema_of(group, name):
    if group == "disturbance":
        return Disturbances
    if group in PACKAGES:
        return options(group)[name]
    annotation = next(field.type for field in fields(RunConfig) if field.name == group)
    arguments = get_args(annotation)
    if not arguments:  # a group whose options share one schema
        return annotation
    for member in get_args(arguments[0]):
        if name in str(next(f.type for f in fields(member) if f.name == "name")):
            return member
    raise AssertionError(f"no schema for {group}={name}")


def test_main_config_names_every_top_level_key():
    text = yaml.safe_load(Path(conf_dir() / "config.yaml").read_text())
    groups = {*GROUPS, "defaults", "hydra"}
    assert set(text) - groups == {field.name for field in fields(RunConfig)} - set(GROUPS)


def test_the_help_names_every_key_of_the_main_config():
    shown = help_text().partition("\nkeys:\n")[2]
    assert "# " not in shown
    main = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))
    wanted = set()
    for key, value in main.items():
        wanted |= {f"{key}.{name}" for name in value} if isinstance(value, dict) else {key}
    wanted = {key for key in wanted if not key.startswith(("hydra", "defaults"))}
    assert {key for key in wanted if f"  {key}=" not in shown} == set()

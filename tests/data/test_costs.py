import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alupdate.config.compose import compose_config
from alupdate.data.costs import PricedTexts, label_costs
from alupdate.data.hub import HubDataset
from alupdate.data.parquet import Parquet
from alupdate.data.tables import Csv
from alupdate.utils.display import Display
from alupdate.utils.errors import InputError

TEXTS = [" ".join(["word"] * (1 + i % 5)) + f" {i}" for i in range(20)]
LABELS = ["ab"[i % 2] for i in range(20)]
MINUTES = [0.5 + i for i in range(20)]


def table(path, minutes=MINUTES):
    frame = pd.DataFrame({"text": TEXTS, "label": LABELS, "minutes": minutes})
    if path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif path.suffix == ".parquet":
        frame.drop(columns="text").assign(x=range(20)).to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return str(path)


def costs_of(option):
    dataset = option.load(Path("unused"), Display(enabled=False))
    return dataset, label_costs(option, dataset)


def test_a_label_costs_the_length_of_its_text(tmp_path):
    path = table(tmp_path / "t.csv")
    dataset, words = costs_of(Csv(path=path, cost="words"))
    assert words.tolist() == [len(text.split()) for text in dataset.train.strings]
    dataset, characters = costs_of(Csv(path=path, cost="characters"))
    assert characters.tolist() == [len(text) for text in dataset.train.strings]
    assert costs_of(Csv(path=path))[1] is None


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("settings", [{}, {"n_train": 9}], ids=["all", "part"])
def test_a_column_goes_with_its_instances(ending, settings, tmp_path):
    path = table(tmp_path / f"t.{ending}")
    dataset, costs = costs_of(Csv(path=path, cost_column="minutes", **settings))
    places = [TEXTS.index(text) for text in dataset.train.strings]
    assert costs.tolist() == [MINUTES[place] for place in places]


def test_a_column_goes_with_instances_that_a_labels_file_names(tmp_path):
    path = table(tmp_path / "t.csv")
    rows = "".join(f"{i + 2},{LABELS[i]}\n" for i in range(15))
    (tmp_path / "labels.csv").write_text(f"instance,label\n{rows}")
    frame = pd.read_csv(path).assign(label="")
    frame.to_csv(path, index=False)
    option = Csv(path=path, cost_column="minutes", labels=str(tmp_path / "labels.csv"))
    dataset, costs = costs_of(option)
    assert costs.tolist() == [MINUTES[TEXTS.index(text)] for text in dataset.train.strings]
    assert len(costs) == 12


def test_a_column_of_costs_is_no_feature(tmp_path):
    path = table(tmp_path / "t.parquet")
    dataset, costs = costs_of(Parquet(path=path, cost_column="minutes"))
    assert dataset.train.columns == ("x",)
    assert costs.tolist() == [0.5 + x for x in dataset.train.rows[:, 0].tolist()]


def test_a_test_file_needs_no_costs(tmp_path):
    train = table(tmp_path / "train.csv")
    pd.DataFrame({"text": TEXTS, "label": LABELS}).to_csv(tmp_path / "test.csv", index=False)
    _, costs = costs_of(Csv(train=train, test=str(tmp_path / "test.csv"), cost_column="minutes"))
    assert costs.tolist() == MINUTES


@pytest.mark.parametrize("cell", ["", "abc", "0", "-1", "nan", "inf", "1_0", "1e31", "1e-31"])
def test_a_cell_that_is_no_cost_is_named(cell, tmp_path):
    path = table(tmp_path / "t.csv", [*map(str, MINUTES[:5]), cell, *map(str, MINUTES[6:])])
    shown = cell or "empty"
    with pytest.raises(InputError, match=rf"row 7: minutes is {shown}; dataset.cost_column must"):
        costs_of(Csv(path=path, cost_column="minutes"))


def test_values_of_json_that_are_no_cost_are_named(tmp_path):
    rows = [{"text": TEXTS[i], "label": LABELS[i], "minutes": 1} for i in range(20)]
    for value in (True, None, [1]):
        rows[3]["minutes"] = value
        path = tmp_path / "t.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        with pytest.raises(InputError, match="line 4: minutes is"):
            costs_of(Csv(path=str(path), cost_column="minutes"))


def test_a_column_that_is_not_there_is_named(tmp_path):
    path = table(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"cost_column=minute: no such column .*did you mean"):
        costs_of(Csv(path=path, cost_column="minute"))
    with pytest.raises(InputError, match="cost_column=label: is the column of labels"):
        Csv(path=path, cost_column="label").check()
    with pytest.raises(InputError, match="exclude each other"):
        Csv(path=path, cost_column="minutes", cost="words").check()


def test_images_have_no_length():
    with pytest.raises(InputError, match=r"dataset.cost=words: is for texts; dataset=snacks holds"):
        HubDataset(name="snacks", cost="words").check()


def test_costs_that_were_lost_are_no_costs_of_one(tmp_path):
    option = Csv(path=table(tmp_path / "t.csv"), cost_column="minutes")
    dataset, _ = costs_of(option)
    assert isinstance(dataset.train, PricedTexts)
    plain = Csv(path=option.path).load(Path("unused"), Display(enabled=False))
    with pytest.raises(TypeError, match="have lost their costs"):
        label_costs(option, plain)


def test_repeated_instances_cost_each_time(tmp_path):
    dataset, costs = costs_of(Csv(path=table(tmp_path / "t.csv"), cost_column="minutes"))
    twice = dataset.train.take(np.array([3, 3, 0]))
    assert twice.costs.tolist() == [costs[3], costs[3], costs[0]]


@pytest.mark.parametrize("task", ["updating", "describe", "suggest"])
def test_other_tasks_refuse_costs(task):
    data = ["dataset=csv", "dataset.path=t.csv", "dataset.cost=words", "backbone=minilm"]
    with pytest.raises(InputError, match=r"^dataset.cost=words: is for task=active_learning"):
        compose_config([*data, f"task={task}"])

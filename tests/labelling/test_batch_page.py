"""batch.csv and batch.html: names are no markup, and what is labelled on the page is read again."""

import csv
import io
import shutil

import numpy as np
import pytest

from alupdate.data.dataset import Texts
from alupdate.data.labels_file import Answer, read_labels_file
from alupdate.data.own_data import PartlyLabelled
from alupdate.labelling.batch_files import batch_csv, batch_page, shown_instances
from alupdate.labelling.suggester import Suggestions

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
NONE = np.zeros(0, dtype=np.int64)
NAMES = ('a,"b".png', "<b>x</b>.png", "plain.png", "=1+1.png")
TEXTS = ("=HYPERLINK(1)", "<script>alert(1)</script>", "two\nlines", "ordinary")


def batch():
    data = PartlyLabelled(
        name="pool", pool=Texts(TEXTS), names=NAMES, indices=NONE, labels=NONE, skipped=NONE,
        classes=("a", 'b"<i>'), declared=True,
    )  # fmt: skip
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.3, 0.7]])
    chosen = Suggestions(np.arange(4), probabilities, np.array([1, 0.5, np.nan, 0.1]), "margin")
    return data, chosen


def test_the_table_holds_what_was_chosen():
    data, chosen = batch()
    rows = list(csv.DictReader(io.StringIO(batch_csv(shown_instances(data, chosen)))))
    assert [row["instance"] for row in rows] == list(NAMES)
    assert [row["predicted"] for row in rows] == ["a", 'b"<i>', "a", 'b"<i>']
    assert [row["score"] for row in rows] == ["1", "0.5", "", "0.1"]
    assert [row["text"] for row in rows] == ["'=HYPERLINK(1)", *TEXTS[1:]]
    assert all(row["label"] == row["status"] == "" for row in rows)


def test_names_and_texts_are_no_markup():
    data, chosen = batch()
    page = batch_page("<i>pool</i>", data, chosen, shown_instances(data, chosen))
    for raw in ("<b>x</b>", "<script>alert", "<i>pool", 'b"<i>'):
        assert raw not in page
    assert "default-src 'none'" in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_what_is_labelled_on_the_page_is_read_again(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    data, chosen = batch()
    path = tmp_path / "batch.html"
    path.write_text(batch_page("pool", data, chosen, shown_instances(data, chosen)))
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page()
        errors = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(path.as_uri())
        cards = tab.locator(".card")
        assert cards.nth(2).locator("blockquote").text_content() == "two\nlines"
        cards.nth(0).locator(".accept").click()
        cards.nth(1).get_by_text("skip").click()
        cards.nth(3).locator("input").fill('b"<i>')
        assert tab.locator("#count").text_content() == "3 of 4 answered"
        with tab.expect_download() as download:
            tab.locator("#save").click()
        download.value.save_as(tmp_path / "answers.csv")
        browser.close()
    assert errors == []
    answers = [answer for _, answer in read_labels_file(str(tmp_path / "answers.csv"), "it").rows]
    assert answers == [
        Answer(NAMES[0], "a", ""), Answer(NAMES[1], "", "skipped"), Answer(NAMES[3], 'b"<i>', ""),
    ]  # fmt: skip

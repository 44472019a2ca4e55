"""The files of a suggested batch: batch.csv to fill in, and batch.html to look at."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from alupdate.config.values import FORMULA
from alupdate.data.dataset import Images, Texts
from alupdate.data.own_data import PartlyLabelled
from alupdate.labelling.suggester import Suggestions
from alupdate.report.template import rendered
from alupdate.results.records import csv_text

BATCH, PAGE = "batch.csv", "batch.html"
COLUMNS = ("rank", "instance", "label", "status", "predicted", "probability", "score")
"""Those of batch.csv; ``label`` and ``status`` are for the annotator to fill in."""
THUMBNAIL = 320
"""Pixels of the longer side of an image on the page."""
JPEG_QUALITY = 85


@dataclass(frozen=True)
class ShownInstance:
    """An instance of a batch, as the files show it.

    Attributes:
        rank: from 1 on.
        name: of the instance.
        predicted, probability: the most probable class; empty before there is a model.
        score: the utility; empty where the strategy gives none.
        text: of a text.
        picture: of an image, as a data URL.
    """

    rank: int
    name: str
    predicted: str
    probability: str
    score: str
    text: str | None = None
    picture: str | None = None


def shown_instances(
    data: PartlyLabelled, chosen: Suggestions, *, pictures: bool = False
) -> list[ShownInstance]:
    """Return the instances of a batch in the order of their rank.

    Args:
        data: the pool.
        chosen: the batch.
        pictures: whether images are made smaller and put into the answer.
    """
    shown = []
    for rank, index in enumerate(chosen.indices.tolist(), start=1):
        predicted, probability = "", ""
        if chosen.probabilities is not None:
            row = chosen.probabilities[rank - 1]
            predicted, probability = data.classes[int(row.argmax())], f"{row.max():.4f}"
        score = float(chosen.scores[rank - 1])
        pool = data.pool
        shown.append(
            ShownInstance(
                rank=rank,
                name=data.names[index],
                predicted=predicted,
                probability=probability,
                score="" if np.isnan(score) else f"{score:.6g}",
                text=pool.strings[index] if isinstance(pool, Texts) else None,
                picture=picture(pool, index) if pictures and isinstance(pool, Images) else None,
            )
        )
    return shown


def batch_csv(shown: list[ShownInstance]) -> str:
    """Return batch.csv; texts have a column of their own.

    A text that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    with_text = any(instance.text is not None for instance in shown)
    rows = [
        [i.rank, i.name, "", "", i.predicted, i.probability, i.score]
        + ([_no_formula(i.text or "")] if with_text else [])
        for i in shown
    ]
    return csv_text([*COLUMNS, "text"] if with_text else COLUMNS, rows)


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def picture(images: Images, index: int) -> str:
    """Return one image as a data URL, made smaller where it is large."""
    array = images[index]
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array[:, :, :3])
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def batch_page(
    name: str, data: PartlyLabelled, chosen: Suggestions, shown: list[ShownInstance]
) -> str:
    """Return batch.html: one self-contained page on which a batch can be looked at and labelled.

    The page sends nothing anywhere; what is labelled on it is saved as a labels file.

    Args:
        name: of the pool.
        data: the pool.
        chosen: the batch.
        shown: its instances.
    """
    values = {
        "name": name,
        "classes": data.classes,
        "n_labelled": len(data.indices),
        "size": len(data.names),
        "chosen_by": chosen.chosen_by,
        "shown": shown,
    }
    package, template = "alupdate.labelling", "batch.html.j2"
    return rendered(package, template, "batch.css", ["batch.js"], {}, values)

"""Your own texts in CSV, TSV or JSONL files."""

from alupdate.config import CsvDataset
from alupdate.data.dataset import Dataset
from alupdate.data.instances import Texts
from alupdate.data.parts import Part, joined
from alupdate.data.table_file import labelled_texts, read_table


def read_texts(config: CsvDataset, name: str) -> Dataset:
    """Read a text and a label column; labels that are all integers are sorted as integers.

    Nothing is taken for a missing value: the text "NA" stays what it is.

    Raises:
        InputError: naming key, file and row.
    """
    text = (config.text_column, "dataset.text_column")
    label = (config.label_column, "dataset.label_column")

    def read(path: str, where: str) -> Part[Texts]:
        return labelled_texts(read_table(path, where), text, label)

    return joined(config, name, read)

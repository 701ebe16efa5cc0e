"""Results as a pandas table; pandas 1 and 2 both do."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable

from cw2 import _files
from cw2.cw_data import cw_logging

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PandasLogger"]


class PandasLogger(cw_logging.AbstractLogger):
    """Keeps the results of a repetition as a table, in its ``rep_N.csv`` and ``rep_N.pkl``.

    Both are written anew after every result, and are whole at any time.

    Raises:
        ImportError: if pandas is not installed.
    """

    def __init__(self, ignore_keys: Iterable[Any] | None = None, allow_keys: Iterable[Any] | None = None) -> None:
        super().__init__(ignore_keys=ignore_keys, allow_keys=allow_keys)
        import pandas as pd

        self.log_path = ""
        self.csv_name = "rep.csv"
        self.pkl_name = "rep.pkl"
        self.df: pd.DataFrame = pd.DataFrame()
        self._rows: list[dict[Any, Any]] = []

    def initialize(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        """Begins an empty table."""
        import pandas as pd

        self._find(config, rep, rep_log_path)
        self.df = pd.DataFrame()
        self._rows = []

    def process(self, log_data: dict[Any, Any]) -> None:
        """Adds a row and writes the files. One that cannot be written is told of in the log."""
        import pandas as pd

        self._rows.append(dict(self.filter(log_data)))
        self.df = pd.DataFrame(self._rows)
        _write(self.csv_name, lambda path: self.df.to_csv(path, index_label="index"))
        _write(self.pkl_name, lambda path: self.df.to_pickle(path, compression=None))

    def finalize(self) -> None:
        """Does nothing: all is written."""

    def load(self) -> Any:
        """The table, under this class's name; a text that says so where there is none."""
        import pandas as pd

        try:
            with _files.open_trusted(self.pkl_name) as file:
                df = pd.read_pickle(file, compression=None)
        except FileNotFoundError:
            warning = f"{self.pkl_name} does not exist"
            cw_logging.getLogger().warning(warning)
            return warning
        except Exception as error:
            # A pickle is for the versions it was written with, and its writer's; the text is for ever, and for all.
            cw_logging.getLogger().warning("%s: %s; reading %s instead", self.pkl_name, error, self.csv_name)
            df = pd.read_csv(self.csv_name, index_col="index")
            df.index.name = None
            if "ts" in df.columns:
                df["ts"] = pd.to_datetime(df["ts"])
        return {type(self).__name__: df}

    def _find(self, config: dict[str, Any], rep: int, rep_log_path: str) -> None:
        self.log_path = rep_log_path
        self.csv_name = os.path.join(rep_log_path, f"rep_{rep}.csv")
        self.pkl_name = os.path.join(rep_log_path, f"rep_{rep}.pkl")


def _write(path: str, write: Callable[[str], Any]) -> None:
    """Writes beside, then renames: whoever reads meanwhile, or after a kill, finds a whole table."""
    new = path + ".new"
    try:
        write(new)
        os.replace(new, path)
    except Exception as error:
        cw_logging.getLogger().warning("could not save %s: %s", path, error)
        try:
            os.remove(new)
        except OSError:
            pass

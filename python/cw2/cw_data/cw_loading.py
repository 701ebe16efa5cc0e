"""Results read back as a pandas table, and the accessor ``df.cw2`` to it; pandas 1 and 2 both do."""

from __future__ import annotations

import copy
from collections.abc import MutableMapping, MutableSequence
from typing import Any

import pandas as pd

from cw2.cw_config import cw_conf_keys as KEYS
from cw2.cw_data import cw_logging, cw_pd_logger
from cw2.job import Job
from cw2.scheduler import AbstractScheduler

__all__ = ["CWResult", "Cw2Accessor", "Loader"]


class Loader(AbstractScheduler):
    """Loads repetitions instead of running them."""

    def run(self, overwrite: bool = False) -> pd.DataFrame:
        """A row for each repetition, with the index ``name``, ``r``."""
        result = CWResult()
        for job in self.joblist:
            result._load_job(job)
        result._compile()
        return result.data().set_index(["name", "r"])


class CWResult:
    """Collects the rows of a table."""

    def __init__(self, df: pd.DataFrame | None = None) -> None:
        self.data_list: list[dict[str, Any]] = []
        self.df = pd.DataFrame() if df is None else df

    def data(self) -> pd.DataFrame:
        """The table."""
        return self.df

    def _load_job(self, j: Job) -> None:
        for task in j.tasks:
            params = task.get(KEYS.PARAMS, {})
            row = j.load_task(task)
            row.update(name=task[KEYS.NAME], r=task[KEYS.i_REP_IDX], rep_path=task[KEYS.i_REP_LOG_PATH], params=params)
            row.update(_flat(params))
            self.data_list.append(row)

    def _compile(self) -> None:
        self.df = pd.DataFrame(self.data_list)


@pd.api.extensions.register_dataframe_accessor("cw2")
class Cw2Accessor:
    """Chooses from a table that ``ClusterWork.load`` made."""

    def __init__(self, pandas_obj: pd.DataFrame) -> None:
        self._obj = pandas_obj

    def filter(self, param_dict: dict[str, Any]) -> pd.DataFrame:
        """Only the rows with these parameters, nested as in the configuration."""
        df = self._obj.copy()
        for name, value in _flat(param_dict).items():
            df = df[df[name] == value]
        return df

    def repetition(self, r: int) -> pd.DataFrame:
        """Only the repetitions with this number."""
        return self._obj[self._column("r") == r]

    def name(self, name: str) -> pd.DataFrame:
        """Only the experiments of this name."""
        return self._obj[self._column("name") == name]

    def logger(
        self,
        l_name: str = "",
        l_obj: cw_logging.AbstractLogger | None = None,
        l_cls: type[cw_logging.AbstractLogger] | None = None,
    ) -> pd.Series[Any]:
        """What a logger kept, by the name of its class, an object of it or the class itself."""
        if l_obj is not None:
            l_cls = type(l_obj)
        return self._obj[l_name if l_cls is None else l_cls.__name__]

    def flatten_pd_log(self) -> pd.DataFrame:
        """A row for each result that a ``PandasLogger`` kept, with the columns of its repetition.

        The index is ``name``, ``r``, ``iter``. Repetitions of which nothing was kept are left out.
        """
        column = cw_pd_logger.PandasLogger.__name__
        if column not in self._obj.columns:
            return self._obj
        parts = []
        for (name, r), row in self._obj.iterrows():
            part = row[column]
            if not isinstance(part, pd.DataFrame):
                continue
            part = part.copy()
            for key, value in [*row.drop(column).items(), ("name", name), ("r", r)]:
                # In a list of its own for each row: one value of several elements would be spread over the rows.
                many = isinstance(value, (dict, list, tuple, set))
                part[key] = pd.Series([copy.deepcopy(value) for _ in part.index], part.index) if many else value
            parts.append(part)
        if not parts:
            return self._obj.iloc[:0].drop(columns=column)
        return pd.concat(parts, ignore_index=True).set_index(["name", "r", "iter"])

    def _column(self, name: str) -> Any:
        """A column, also where the table has it in its index."""
        return self._obj.index.get_level_values(name) if name in self._obj.index.names else self._obj[name]


def _flat(params: MutableMapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters by their names joined with `_`; of lists by number."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        name = f"{prefix}_{key}" if prefix else key
        if isinstance(value, MutableMapping):
            flat.update(_flat(value, name))
        elif isinstance(value, MutableSequence):
            flat.update((f"{name}_{number}", item) for number, item in enumerate(value))
        else:
            flat[name] = value
    return flat

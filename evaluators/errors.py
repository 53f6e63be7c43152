"""The exception tree. Every error a user can cause carries one or more problems, each with a way out.

    FinetuneGateError            exit status of the command line
    |-- ConfigurationError       2   gate file, arguments, settings, datasets
    |   `-- DatasetError         2   a data file cannot be used as it is
    `-- EvaluationError          4   the run could not judge
        |-- RegistryError        4   registry unreachable, or something in it is not as expected
        |-- ModelFilesError      4   model files are unsafe, incomplete or unreadable
        `-- ModelError           4   a model loaded but cannot do its work

Foreign exceptions (MLflow, transformers, PyYAML, ...) are turned into these where that library is called.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

_USER_INFO = re.compile(r"(?<=://)[^\s'\"]*@")


def without_credentials(text: str) -> str:
    """``text`` with user and password taken out of every address in it, up to the last ``@``."""
    return _USER_INFO.sub("", text)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault, in the four parts a person needs: where, what was found, what was expected, the way out."""

    where: str
    found: str
    expected: str = ""
    way_out: str = ""

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.found}"]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.way_out:
            lines.append(f"  way out:  {self.way_out}")
        return "\n".join(lines)


class FinetuneGateError(Exception):
    """``raise DatasetError(Problem(...), Problem(...))``: all problems found are reported in one go."""

    exit_status: ClassVar[int] = 4

    def __init__(self, *problems: Problem) -> None:
        if not problems:
            raise ValueError("an error needs at least one Problem")
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class ConfigurationError(FinetuneGateError):
    """The gate file, an argument or a setting is wrong."""

    exit_status = 2


class DatasetError(ConfigurationError):
    """A dataset file is missing, malformed, empty, or lacks what its evaluator needs."""


class EvaluationError(FinetuneGateError):
    """The run could not judge. Never a decision."""


class RegistryError(EvaluationError):
    """The model registry cannot be reached, or does not hold what was asked of it."""


class ModelFilesError(EvaluationError):
    """Downloaded model files are unsafe to load, incomplete, or of no known layout."""


class ModelError(EvaluationError):
    """A model loaded, and cannot do what was asked of it."""

"""People's ratings: blind sheets, what comes back from them, and the file that it is kept in.

``gathering`` finds what there is to rate; it is imported where it is used, since it brings everything a run needs.
"""

from .csv_sheet import read_csv, write_csv
from .desk import Count, Desk
from .filled import Accepted, Filled, FilledRow, accept, by_rater
from .json_sheet import read_json, sheet_fields, write_json
from .ratings_file import RatingsFile
from .said import Said, said_of

__all__ = [
    "Accepted",
    "Count",
    "Desk",
    "Filled",
    "FilledRow",
    "RatingsFile",
    "Said",
    "accept",
    "by_rater",
    "read_csv",
    "read_json",
    "said_of",
    "sheet_fields",
    "write_csv",
    "write_json",
]

"""The page on which people rate: served on this machine, or written as a file that holds everything."""

from .page import rating_page
from .server import serve

__all__ = ["rating_page", "serve"]

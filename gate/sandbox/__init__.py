"""Where programs run that models wrote: kept in, and judged from outside. See the modules."""

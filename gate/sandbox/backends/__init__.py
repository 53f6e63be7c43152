"""Ways to keep a process in: namespaces made by bubblewrap, and containers of Docker."""

"""Programs that try to get out, and whether a sandbox of this machine holds them."""

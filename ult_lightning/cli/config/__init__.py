"""From files and overrides to typed settings."""

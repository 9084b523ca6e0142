"""What a person starts, a file per session of the main line."""

"""Stand-ins for the two workspaces: ours, with the layout, names and formats of the real ones."""

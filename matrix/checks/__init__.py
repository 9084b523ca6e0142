"""Checks of the change as a whole: run once per side, each leaving a record that the gates judge."""

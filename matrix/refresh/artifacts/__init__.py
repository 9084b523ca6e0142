"""Result files and recorded constants in the developer workspace's own format."""

"""How time and memory of a likelihood grow with the batch, baseline against candidate."""

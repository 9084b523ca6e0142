"""What knows nothing of the rest: errors, files, processes, disks, the machine, where things lie."""

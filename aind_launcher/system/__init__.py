"""The machine: files, git, processes, Ctrl-C, and the rig's own folders and lock."""

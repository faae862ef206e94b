"""The programs of the command line, one file each."""

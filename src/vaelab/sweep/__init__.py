"""Many runs from one command: planned, told apart by their configs, and gone on with."""

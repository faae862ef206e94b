"""Many runs from one command: planned, identified by the hashes of their configs, and resumed."""

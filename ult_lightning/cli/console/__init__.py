"""What stands around a verb: jobs, sweeps, sentences, help, tables."""

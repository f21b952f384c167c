"""The command line's commands, one file a noun. Heavy imports stand inside the functions, so that
`apprentice --help` answers at once."""

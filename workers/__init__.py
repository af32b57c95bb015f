"""The long-running programs, the jobs and the command line."""

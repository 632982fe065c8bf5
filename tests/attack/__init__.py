"""`make attack`: damaged inputs and faults of the system against every command, and a soak of the runtime (docs/reliability.md).

mutations.py damages data; attacks.py is the table of what is tried; nest.py runs one command after the other in forked
processes; judge.py says what was wrong with an end; __main__.py spends the minutes and writes the page.
fuzz_models.py is `make fuzz-models`.
"""

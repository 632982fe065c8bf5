"""`python -m cli` is `ptq`."""

from cli.main import main

main()

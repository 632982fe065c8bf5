"""`python -m ptq_cli` is `ptq`."""

from ptq_cli.main import main

main()

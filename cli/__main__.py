"""`python -m ptq_cli` is `ptq`."""

from ptq_cli.start import main

main()

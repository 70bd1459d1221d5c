"""Run the command line as ``python -m kernelkit``."""

import sys

from kernelkit.cli import main

sys.exit(main())

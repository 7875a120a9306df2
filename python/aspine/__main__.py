"""`python -m aspine` is the program `aspine`."""

import os
import sys

from .server import program


def main():
    path = program()
    os.execv(path, [path, *sys.argv[1:]])


if __name__ == "__main__":
    main()

"""`python -m ups`, which `torchrun -m ups` needs too: the command line."""

from ups.cli import main

if __name__ == "__main__":
    main()

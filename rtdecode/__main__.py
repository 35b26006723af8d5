"""`python -m rtdecode`."""

from rtdecode.cli import run

if __name__ == "__main__":
    run()

"""``python -m threatloop``: the command line."""

from threatloop.cli.main import run

if __name__ == "__main__":
    run()

"""`python -m mmdia_eval` is the command line."""

from mmdia_eval.cli import main

if __name__ == "__main__":
    main()

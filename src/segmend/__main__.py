"""`python -m segmend` is `segmend`."""

from segmend.cli import main

if __name__ == "__main__":
    main()

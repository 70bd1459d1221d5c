"""What a command raises when it cannot do what was asked."""

USAGE, DATA = 2, 3  # exit statuses


class CommandError(Exception):
    """An error whose message is for the user of the command line."""

    def __init__(self, message: str, status: int = DATA) -> None:
        super().__init__(message)
        self.status = status

"""What a user is told: errors that can be put right, in a sentence that says what was expected, found and where, and
warnings of forecasts that may be worse than they look."""


class UserError(Exception):
    """Bad input or a run folder in the wrong state; the command line prints it as one line and exits with code 2."""


class DivergenceError(UserError):
    """A training whose loss, or whose every score on the validation split, is not finite."""


class ForecastWarning(UserWarning):
    """A forecast was made, but with something assumed, or beyond what the model was trained on."""


class Stopped(Exception):
    """Work was stopped by a signal after everything needed to go on was saved.

    Attributes:
        signum: The signal; the command line exits with 128 + signum.
    """

    def __init__(self, message: str, signum: int):
        super().__init__(message)
        self.signum = signum

"""The real SLIMS client with time-outs, and with errors that say what happened.

The client of `aind-slims-api` waits for ever, follows redirects, hands an error page out as an attachment, and leaves
out records that it cannot read. None of this reaches the rest of the plugin.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import requests
from aind_slims_api import SlimsClient
from pydantic import ValidationError
from slims.internal import _SlimsApiException
from slims.slims import Slims, slims_instances

from aind_launcher import LauncherError, Redactor, TransientError
from aind_launcher_slims.settings import Credentials, encoded
from aind_launcher_slims.time_limit import within

# What a SLIMS that did not answer the last request gets for the next one.
SECONDS_FOR_THE_SILENT = 3.0

_INSTANCE = "aind-launcher"
_REQUESTS = ("get_entities", "get", "post", "put", "delete")
# A request that came too early, too often, or while SLIMS starts.
_PASSING = frozenset({408, 425, 429})
_LATER = "Try again when it is back."


class NotThere(LauncherError):
    """SLIMS has no such record or attachment."""


class Client(SlimsClient):  # type: ignore[misc]
    """The client of `aind-slims-api`; each request has a time-out and each answer is looked at.

    :param timeout: seconds for a request, from its start to the last byte of the answer; at most
        `SECONDS_FOR_THE_SILENT` after a request that was not answered, until one is.
    """

    def __init__(self, url: str, credentials: Credentials, timeout: float) -> None:
        self._timeout = self._patience = timeout
        self._source = credentials.source
        self._redact = Redactor(frozenset(secret.get_secret_value() for secret in credentials.secrets))
        super().__init__(url, encoded(credentials.username), encoded(credentials.password.get_secret_value()))

    def connect(self, url: str, username: bytes, password: bytes) -> None:
        # What follows the password goes to `requests` with every request.
        self.db = Slims(
            _INSTANCE,
            url,
            username,
            password,
            hooks={"response": self._judge},
        )
        # Not by a subclass: `Slims` makes this object, and the records that it fetches send through it too.
        for name in _REQUESTS:
            setattr(self.db.slims_api, name, self._limited(getattr(self.db.slims_api, name)))
        # A registry for servers of flows; it would keep the password for as long as the process lives.
        slims_instances.pop(_INSTANCE, None)

    @staticmethod
    def _validate_models(model_type: Any, records: Any) -> list[Any]:
        """Refuse what the models cannot read: without it the second-newest session would pass for the newest."""
        return [_validated(model_type, record) for record in records]

    @contextmanager
    def talking(self) -> Iterator[None]:
        """Calls of the client within raise the launcher's errors, none of which has a credential in it.

        :raises TransientError: SLIMS is down, slow, or busy.
        :raises LauncherError: anything that a second try does not correct.
        """
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Accessing the 'model_fields'", DeprecationWarning)
                yield
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                raise TransientError(f"The secure connection to SLIMS at {self.url} broke.", _LATER) from None
            raise LauncherError(
                f"The certificate of SLIMS at {self.url} is not trusted on this computer.",
                "Set REQUESTS_CA_BUNDLE to a file with your laboratory's certificates, or correct plugin.slims.url.",
            ) from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise TransientError(f"SLIMS at {self.url} cannot be reached: {_reason(error)}.", _LATER) from None
        except (requests.JSONDecodeError, _SlimsApiException, LookupError, TypeError, ValueError):
            raise self._stranger("answers, but not as SLIMS does") from None
        except requests.RequestException as error:
            raise LauncherError(f"SLIMS at {self.url} cannot be asked: {type(error).__name__}.") from None

    def _limited(self, request: Callable[..., Any]) -> Callable[..., Any]:
        """One of the client's ways to send a request, with a limit for the whole of it."""

        def limited(*args: Any, **named: Any) -> Any:
            seconds = self._patience
            # Ends a silent connection also in a request that was given up.
            self.db.slims_api.request_params["timeout"] = seconds
            try:
                answer = within(seconds, partial(request, *args, **named))
            except (TimeoutError, requests.Timeout):
                self._patience = min(self._timeout, SECONDS_FOR_THE_SILENT)
                raise TransientError(f"SLIMS at {self.url} did not answer within {seconds:g} s.", _LATER) from None
            self._patience = self._timeout
            return answer

        return limited

    def _judge(self, response: requests.Response, **_: Any) -> None:
        """Called by `requests` with each answer, before the client sees it."""
        if not 200 <= response.status_code < 300:
            with response:  # its connection is closed by nobody else where a hook raises
                raise self._trouble(response)

    def _trouble(self, response: requests.Response) -> LauncherError:
        status = response.status_code
        path = response.request.path_url.rpartition("/rest/")[2]
        if status == 401:
            return LauncherError(
                f"SLIMS at {self.url} refuses the user name or password from {self._source} (401).",
                "Correct them there.",
            )
        if status == 403:
            action = f"{_VERBS[str(response.request.method)]} {path.split('/')[0]}"
            return LauncherError(
                f"The SLIMS account from {self._source} has no right to {action} (403).",
                "Ask the administrator of SLIMS.",
            )
        if 300 <= status < 400:
            return self._stranger(f"sends on to another address ({status})")
        if status == 404 and path.endswith("/advanced"):
            return self._stranger("has nothing there (404)")
        if status == 404:
            return NotThere(f"SLIMS at {self.url} has no {path} (404).")
        if status >= 500 or status in _PASSING:
            return TransientError(f"SLIMS at {self.url} cannot answer now ({status}).", _LATER)
        return LauncherError(f"SLIMS at {self.url} refused a request to {path} ({status}){self._message(response)}.")

    def _message(self, response: requests.Response) -> str:
        """SLIMS's own words on a request that it refused."""
        try:
            message = self._redact(str(response.json()["errorMessage"]))
        except (ValueError, LookupError, TypeError):
            return ""
        return f": {' '.join(message.split())[:200].rstrip('.')}"

    def _stranger(self, what: str) -> LauncherError:
        return LauncherError(
            f"The server at {self.url} {what}.", "Correct plugin.slims.url; it ends in /slimsrest/ for most SLIMS."
        )


_VERBS = {"GET": "read", "PUT": "add to", "POST": "change", "DELETE": "remove from"}


def _validated(model_type: Any, record: Any) -> Any:
    try:
        return model_type.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise LauncherError(
            f"Record {record.pk()} of {record.table_name()} in SLIMS cannot be read "
            f"({'.'.join(str(part) for part in first['loc'])}: {first['msg']}).",
            "Correct it in SLIMS.",
        ) from None


def _reason(error: BaseException) -> str:
    """What the operating system said, from the bottom of the chain of errors."""
    found = "the connection broke"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            found = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return found

"""Sends messages to Slack: the message first, then its files in its thread. So no file can lose the message, and the
order stays right although Slack finishes uploads in its own time.

`slack_sdk`, and with it the retry policy, is imported on the first send (77 ms of a cold start that a refused
or failing start need not pay).
No code here writes the token anywhere: not to logs, not to errors, not to a repr.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from nightshift.errors import NotifyError
from nightshift.results.common import MessageAttachment
from nightshift.settings import Settings
from nightshift.slack.formatter import excerpt_text
from nightshift.slack.messages import SlackMessage, as_text
from nightshift.slack.phrases.catalog import MessageCatalog
from nightshift.slack.phrases.forms import Language

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from slack_sdk.web import WebClient

SLACK_API = "https://slack.com/api/"
UPLOAD_REQUESTS = 3
"""`files.getUploadURLExternal`, the bytes, `files.completeUploadExternal`."""


class SlackNotifier:
    """Sends to one channel through Slack's Web API."""

    def __init__(
        self,
        token: SecretStr,
        channel: str,
        *,
        language: Language = "ko",
        api_url: str = SLACK_API,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make a notifier; nothing is sent or imported yet.

        Args:
            token: a bot's, with the scopes `chat:write` and `files:write`.
            channel: name or ID of a channel that the bot is a member of.
            language: of the remarks on files.
            api_url: where Slack's methods are.
            sleep: how to wait between two tries.
        """
        self._token = token
        self._channel = channel
        self._words = MessageCatalog(language)
        self._api_url = api_url
        self._sleep = sleep

    def send(self, message: SlackMessage, attachments: Sequence[MessageAttachment] = (), *, deadline: float) -> None:
        """Send a message and its files; rate limits and passing trouble are waited for.

        Args:
            message: as `renderer.render_result` makes it.
            attachments: the files.
            deadline: `time.monotonic()` value to be done by.

        Raises:
            NotifyError: the message, or one of the files, did not arrive.
        """
        from nightshift.slack.retry_budget import RetryBudget

        patience = RetryBudget(deadline, self._sleep)
        channel, thread = patience.call_with_retry("chat.postMessage", partial(self._post, message))
        for file in attachments:
            upload = partial(self._upload, file, channel, thread)
            patience.call_with_retry(f"upload of {file.filename}", upload, requests=UPLOAD_REQUESTS)

    def _post(self, message: SlackMessage, timeout: int) -> tuple[str, str | None]:
        """Post the message.

        Returns: the channel's ID and the message's time stamp. An upload takes no name of a channel, but Slack
        answers with the ID whatever SLACK_CHANNEL is.
        """
        self._client.timeout = timeout
        posted = self._client.chat_postMessage(
            channel=self._channel,
            text=message.text,
            blocks=[dict(block) for block in message.blocks],
            unfurl_links=False,
            unfurl_media=False,
        )
        return posted.get("channel", self._channel), posted.get("ts")

    def _upload(self, file: MessageAttachment, channel: str, thread: str | None, timeout: int) -> None:
        """Take all three steps; until the last of them a file is nobody's, so a failed upload starts over."""
        self._client.timeout = timeout
        self._client.files_upload_v2(
            filename=file.filename,
            content=file.content,
            channel=channel,
            thread_ts=thread,
            initial_comment=excerpt_text(self._words, file),
        )

    @cached_property
    def _client(self) -> WebClient:
        from slack_sdk.web import WebClient

        token = self._token.get_secret_value().strip()
        if not re.fullmatch(r"[!-~]+", token):
            # http.client would refuse the header with an error that quotes it.
            raise NotifyError("the Slack token is not one", hint="check SLACK_BOT_TOKEN or the secret's contents")
        # The SDK logs every failed try as an error, and at DEBUG the upload's URL, which is a credential.
        quiet = logging.getLogger("nightshift.slack.sdk")
        quiet.setLevel(logging.CRITICAL)
        return WebClient(token=token, base_url=self._api_url, retry_handlers=[], logger=quiet)


class ConsoleNotifier:
    """Stands in where Slack is not set up: the message goes to the log and the run goes on."""

    def __init__(self, log: logging.Logger | Logger, reason: str) -> None:
        """Args: log: where to; reason: why not Slack."""
        self._log = log
        self._reason = reason

    def send(
        self,
        message: SlackMessage,
        attachments: Sequence[MessageAttachment] = (),
        *,
        deadline: float,  # noqa: ARG002 - a log is written at once
    ) -> None:
        """As `SlackNotifier.send`; never fails. Files are named, not shown: a log is no place for rows."""
        self._log.warning("Slack was not told: %s", self._reason)
        files = ", ".join(file.filename for file in attachments)
        self._log.info("message for Slack:\n%s%s", as_text(message), f"\n[{files}]" if files else "")


def make_notifier(
    settings: Settings, token: SecretStr | None, log: logging.Logger | Logger
) -> SlackNotifier | ConsoleNotifier:
    """The notifier that the settings ask for.

    Args:
        settings: channel, language and URL are read.
        token: the bot's, from wherever it is kept; None or empty: the messages go to the log.
        log: where messages and the warning go if they cannot go to Slack.
    """
    if token is None or not token.get_secret_value().strip():
        return ConsoleNotifier(log, "SLACK_BOT_TOKEN is not set")
    if not settings.slack_channel:
        return ConsoleNotifier(log, "SLACK_CHANNEL is not set")
    return SlackNotifier(
        token,
        settings.slack_channel.strip(),
        language=settings.report_language,
        api_url=settings.slack_api_url or SLACK_API,
    )

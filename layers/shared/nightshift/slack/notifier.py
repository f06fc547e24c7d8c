"""Sends messages to Slack: first the message, then its files in the message's thread.

Thus a failed upload cannot prevent the message. The order is right even if Slack finishes an upload late. The first
send imports `slack_sdk` and the retry policy, so a run that sends nothing saves 77 ms of its cold start. The module
never writes the token to a log, an error or a repr.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
"""Requests of one upload: `files.getUploadURLExternal`, the upload of the bytes, `files.completeUploadExternal`."""


@dataclass(frozen=True)
class SlackNotifier:
    """Sender of messages to one channel, through Slack's Web API.

    Attributes:
        token: a bot token with the scopes `chat:write` and `files:write`.
        channel: name or ID of a channel that the bot is a member of.
        language: language of the remarks on files.
        api_url: base URL of Slack's methods.
        sleep: waits between two tries; its argument is in seconds.
    """

    token: SecretStr = field(repr=False)
    channel: str
    language: Language = "ko"
    api_url: str = SLACK_API
    sleep: Callable[[float], None] = time.sleep

    def send(self, message: SlackMessage, attachments: Sequence[MessageAttachment] = (), *, deadline: float) -> None:
        """Sends a message and its files. After a rate limit or another transient error, waits and tries again.

        Args:
            deadline: `time.monotonic()` value by which the method ends.

        Raises:
            NotifyError: Slack did not accept the message, or one of the files.
        """
        from nightshift.slack.retry_budget import RetryBudget

        patience = RetryBudget(deadline, self.sleep)
        channel, thread = patience.call_with_retry("chat.postMessage", partial(self._post, message))
        for file in attachments:
            upload = partial(self._upload, file, channel, thread)
            patience.call_with_retry(f"upload of {file.filename}", upload, requests=UPLOAD_REQUESTS)

    def _post(self, message: SlackMessage, timeout: int) -> tuple[str, str | None]:
        """Posts the message. Returns the channel's ID and the message's time stamp.

        An upload requires the channel's ID. Slack's answer has the ID even if SLACK_CHANNEL is a name.
        """
        self._client.timeout = timeout
        posted = self._client.chat_postMessage(
            channel=self.channel,
            text=message.text,
            blocks=[dict(block) for block in message.blocks],
            unfurl_links=False,
            unfurl_media=False,
        )
        return posted.get("channel", self.channel), posted.get("ts")

    def _upload(self, file: MessageAttachment, channel: str, thread: str | None, timeout: int) -> None:
        """Uploads a file in three requests. The last request shares the file, so a failed upload starts anew."""
        self._client.timeout = timeout
        self._client.files_upload_v2(
            filename=file.filename,
            content=file.content,
            channel=channel,
            thread_ts=thread,
            initial_comment=excerpt_text(MessageCatalog(self.language), file),
        )

    @cached_property
    def _client(self) -> WebClient:
        from slack_sdk.web import WebClient

        token = self.token.get_secret_value().strip()
        if not re.fullmatch(r"[!-~]+", token):
            # http.client would refuse the header with an error that contains the token.
            raise NotifyError("the Slack token is not one", hint="check SLACK_BOT_TOKEN or the secret's contents")
        # The SDK logs every failed try as an error. At DEBUG, the SDK logs the upload's URL, which is a credential.
        quiet = logging.getLogger("nightshift.slack.sdk")
        quiet.setLevel(logging.CRITICAL)
        return WebClient(token=token, base_url=self.api_url, retry_handlers=[], logger=quiet)


@dataclass(frozen=True)
class ConsoleNotifier:
    """Sender of messages to the log, for deployments without Slack. `reason` says in the log why."""

    log: logging.Logger | Logger
    reason: str

    def send(
        self,
        message: SlackMessage,
        attachments: Sequence[MessageAttachment] = (),
        *,
        deadline: float,  # noqa: ARG002 - a log is written at once
    ) -> None:
        """Logs the message; never fails. Logs only the names of files, because files may contain rows."""
        self.log.warning("Slack was not told: %s", self.reason)
        files = ", ".join(file.filename for file in attachments)
        self.log.info("message for Slack:\n%s%s", as_text(message), f"\n[{files}]" if files else "")


def make_notifier(
    settings: Settings, token: SecretStr | None, log: logging.Logger | Logger
) -> SlackNotifier | ConsoleNotifier:
    """Returns the notifier for the settings.

    Args:
        token: the bot token. None or empty: the messages go to the log.
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

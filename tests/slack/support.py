"""A message, a file, and a notifier that notes how long it would have slept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from pydantic import SecretStr

from local.slack import CHANNEL, UPLOAD
from nightshift.results.common import MessageAttachment
from nightshift.slack.messages import MessageDraft, SlackMessage, header_block, section_block
from nightshift.slack.notifier import SlackNotifier

TOKEN = "xoxb-the-only-token-there-is"
POST = "chat.postMessage"
STEPS = ("files.getUploadURLExternal", UPLOAD, "files.completeUploadExternal")
MESSAGE = MessageDraft(
    head=(header_block("💾 DB Cleanup Report"), section_block(["- 백업 수: 124 rows"]))
).truncate_to_limits()


@dataclass
class Sender:
    """Sends through a notifier whose sleeps are noted in place of slept."""

    url: str
    channel: str = CHANNEL
    token: str = TOKEN
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.notifier = SlackNotifier(SecretStr(self.token), self.channel, api_url=self.url, sleep=self.slept.append)

    def send(self, *attachments: MessageAttachment, message: SlackMessage = MESSAGE, seconds: float = 30.0) -> None:
        self.notifier.send(message, attachments, deadline=time.monotonic() + seconds)


def csv(name: str = "conversation_log_backup_20250915.csv", *, rows: int = 2, total_rows: int = 2) -> MessageAttachment:
    content = '\ufeffid,message\r\n1,안녕\r\n2,"a,b"\r\n'.encode()
    return MessageAttachment(filename=name, content=content, rows=rows, total_rows=total_rows)

"""What the demo's readers see of Slack: every message and file once, in the order in which they came."""

from __future__ import annotations

from pathlib import Path

from local.slack import CHANNEL, SlackServer
from local.slack_workspace import SharedFile
from local.stage import Stage

PICTURES = Path(".cache/demo")


class Channel:
    """Slack's channel on the stage."""

    def __init__(self, stage: Stage, slack: SlackServer) -> None:
        self._stage = stage
        self._slack = slack
        self._messages = self._files = 0

    def show(self) -> None:
        """What has come since the last look."""
        for message in self._slack.messages[self._messages :]:
            self._stage.frame(f"#{CHANNEL}", message.seen)
        for file in self._slack.files[self._files :]:
            self._stage.say(f"attached: {file.filename}, {len(file.content):,} bytes{self._kept(file)}")
        self._messages, self._files = len(self._slack.messages), len(self._slack.files)

    def _kept(self, file: SharedFile) -> str:
        """Keep a picture, which a terminal cannot show; where it is."""
        if not file.filename.endswith(".png"):
            return ""
        PICTURES.mkdir(parents=True, exist_ok=True)
        (PICTURES / file.filename).write_bytes(file.content)
        return f": {PICTURES / file.filename}"

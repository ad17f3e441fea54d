"""The one instance of the queue. Importing it connects to nothing."""

from __future__ import annotations

from skeldir_huey.queue import dead_letters, signals
from skeldir_huey.queue.executor import SkeldirHuey

huey = SkeldirHuey("skeldir")
huey.signal(signals.DEAD)(dead_letters.write_letter)
huey.signal(signals.ENDED)(dead_letters.close_letter)

"""Revocations are found without reading the results among which they are stored.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Each claimed job is looked up: a day's results are millions of random keys, what is revoked is next to nothing.
    op.execute("create index result_other on huey.result (key) where not is_result")


def downgrade() -> None:
    op.execute("drop index huey.result_other")

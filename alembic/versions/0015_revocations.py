"""Revocations are found among results without reading those; suspects that died together are told apart.

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
    op.execute("alter table huey.job add column claim_apart boolean not null default false")
    op.execute("comment on column huey.job.claim_apart is 'It died beside another suspect: none may be beside it.'")


def downgrade() -> None:
    op.execute("alter table huey.job drop column claim_apart")
    op.execute("drop index huey.result_other")

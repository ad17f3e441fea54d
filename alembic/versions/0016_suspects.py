"""Suspects that died together are told apart from the others.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table huey.job add column claim_apart boolean not null default false")
    op.execute("comment on column huey.job.claim_apart is 'It died beside another suspect: none may be beside it.'")


def downgrade() -> None:
    op.execute("alter table huey.job drop column claim_apart")

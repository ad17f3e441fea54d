"""What all table classes share: the mapping of Python types, keys and defaults that recur."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ForeignKey, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NOW = text("clock_timestamp()")
RANDOM_ID = text("gen_random_uuid()")


class Base(DeclarativeBase):
    """Holds `metadata`; Python types stand for the Postgres types used throughout."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: sa.Text(),
        bytes: sa.LargeBinary(),
        datetime: sa.DateTime(timezone=True),
        float: sa.Double(),
        int: sa.Integer(),
        UUID: sa.Uuid(),
        dict[str, Any]: JSONB(),
        list[Any]: JSONB(),
        list[str]: ARRAY(sa.Text()),
    }


def tenant_key() -> Mapped[UUID]:
    return mapped_column(ForeignKey("tenants.id"), primary_key=True)


def row_id() -> Mapped[UUID]:
    return mapped_column(primary_key=True, server_default=RANDOM_ID)

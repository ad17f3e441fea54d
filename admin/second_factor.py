"""The second factor: codes of an authenticator app, and recovery codes. Flask-Security checks them, once each."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_security import Totp, TwoFactorRescueForm, TwoFactorSetupForm
from passlib.exc import UsedTokenError
from passlib.totp import TotpMatch
from wtforms import StringField

from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import ConsoleUser
from skeldir_huey.errors import Conflict

ISSUER = "Skeldir Huey"
STEP_S = 30
RECOVERY_CODES = 10


class NoChoices(StringField):
    """What the library offers as choices of which we show none: its own are of a form that WTForms gives up."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.choices: list[Any] = []


class SetUpForm(TwoFactorSetupForm):
    """Switches the authenticator app on or off."""

    setup = NoChoices()


class RescueForm(TwoFactorRescueForm):
    """Not shown: there is no mail, and recovery codes have a page of their own."""

    help_setup = NoChoices()


class OneTimeTotp(Totp):
    """Takes each code once, also when two browsers send it at the same moment."""

    def get_last_counter(self, user: Any) -> int | None:
        """Return the step of the newest code that was taken."""
        with transaction(None, role="console_global", who="console", read_only=True) as connection:
            found: int | None = connection.scalar(
                sa.select(ConsoleUser.tf_last_counter).where(ConsoleUser.id == user.id)
            )
        return found

    def set_last_counter(self, user: Any, tmatch: TotpMatch) -> None:
        """Take a code.

        Raises:
            UsedTokenError: it, or a newer one, was taken meanwhile.
        """
        last = sa.func.coalesce(ConsoleUser.tf_last_counter, -1)
        with transaction(None, role="console_global", who="console") as connection:
            taken = connection.execute(
                sa.update(ConsoleUser)
                .where(ConsoleUser.id == user.id, last < tmatch.counter)
                .values(tf_last_counter=tmatch.counter)
            )
        if taken.rowcount == 0:
            raise UsedTokenError


def configure(app: Flask) -> None:
    """Offer the second factor to everybody, require it from nobody."""
    secret = str(app.config["SECRET_KEY"])
    app.config.update(
        SECURITY_TWO_FACTOR=True,
        SECURITY_TWO_FACTOR_REQUIRED=False,
        SECURITY_TWO_FACTOR_ENABLED_METHODS=["authenticator"],
        SECURITY_TWO_FACTOR_AUTHENTICATOR_VALIDITY=STEP_S,  # one step before and after: clocks differ
        SECURITY_TWO_FACTOR_ALWAYS_VALIDATE=True,
        SECURITY_TWO_FACTOR_RESCUE_EMAIL=False,
        SECURITY_TWO_FACTOR_POST_SETUP_VIEW="/admin/account/",
        SECURITY_TOTP_SECRETS={"1": key_for(secret, "totp").hex()},
        SECURITY_TOTP_ISSUER=ISSUER,
        SECURITY_MULTI_FACTOR_RECOVERY_CODES=True,
        SECURITY_MULTI_FACTOR_RECOVERY_CODES_N=RECOVERY_CODES,
        SECURITY_MULTI_FACTOR_RECOVERY_CODES_KEYS=[base64.urlsafe_b64encode(key_for(secret, "recovery codes"))],
    )


def key_for(secret: str, purpose: str) -> bytes:
    """Return 32 bytes made from the secret key: another purpose, another key."""
    return hmac.digest(secret.encode(), f"skeldir {purpose}".encode(), hashlib.sha256)


def take_recovery_code(user: Any, place: int) -> bool:
    """Remove a recovery code that is being used.

    Args:
        place: its index in `user.mf_recovery_codes`.

    Raises:
        Conflict: it was used meanwhile.
    """
    codes = user.mf_recovery_codes or []
    if not 0 <= place < len(codes):
        return False
    stored = codes[place]
    left = sa.func.array_remove(ConsoleUser.mf_recovery_codes, stored)
    with transaction(None, role="console_global", who="console") as connection:
        taken = connection.execute(
            sa.update(ConsoleUser)
            .where(ConsoleUser.id == user.id, sa.literal(stored) == sa.any_(ConsoleUser.mf_recovery_codes))
            .values(mf_recovery_codes=left)
        )
    if taken.rowcount == 0:
        raise Conflict("This recovery code was used already.")
    return True

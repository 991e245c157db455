"""Turn the sign of K in stored adjustments: it was above 0 where a mask had to shrink, now where it has to grow."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

EVENTS = sa.table("events", sa.column("session"), sa.column("position"), sa.column("json"))


def upgrade() -> None:
    connection = op.get_bind()
    wanted = sa.select(EVENTS).where(EVENTS.c.json.like('%"adjust"%'))
    for row in connection.execute(wanted).all():
        event: dict[str, Any] = json.loads(row.json)
        prompt = event.get("prompt", {})
        if prompt.get("kind") == "adjust":
            prompt["k"] = 0.0 - prompt["k"]
            turned = json.dumps(event, separators=(",", ":"))
            here = (EVENTS.c.session == row.session) & (EVENTS.c.position == row.position)
            connection.execute(sa.update(EVENTS).where(here).values(json=turned))


def downgrade() -> None:
    upgrade()

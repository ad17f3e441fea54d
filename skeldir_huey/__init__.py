"""Skeldir Huey: revenue attribution for many tenants, with its background work on Postgres alone.

The delivery promise: a job that was enqueued is executed to an end (done, dead, cancelled), whatever dies; its effects
on Postgres happen once. At-least-once execution, exactly-once settlement: what a task writes through `transaction()`,
its result, its retry, its children, its dead letter and its end are one commit, fenced by the claim.

The map, upper layers import lower ones only (a test keeps it):

    commands, cli, admin   what people use: `python -m skeldir_huey`, the console
    main                   `skeldir_huey.main.huey` for `huey_consumer`: every task registered
    observability          the worker's /health and /metrics
    tasks                  the only place where queue and domain meet; `@tenant_task` is in tasks.base
    queue                  claims, settlement, liveness, rescue, cron, dead letters, fair shares
    attribution, ingest, reports   the domain; siblings that do not know each other
    db                     engines per login, row security, tables, migrations' ground
    errors config clock money tenancy log metrics   the base
"""

-- Adds the event kinds of a tenant. By primary key.
insert into event_kinds (tenant_id, event_type, kind, needs_channel)
select %(tenant_id)s, k.event_type, k.kind, k.needs_channel
  from unnest(%(event_types)s::text[], %(kinds)s::text[], %(needs_channel)s::boolean[])
       as k (event_type, kind, needs_channel)

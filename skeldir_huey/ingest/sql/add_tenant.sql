-- Adds a tenant, or gives no row when the name is taken. By the unique index on name.
insert into tenants (name, display_name, identity_policy, timezone)
values (%(name)s, %(display_name)s, %(identity_policy)s, %(timezone)s)
on conflict (name) do nothing
returning id

-- Creates the cluster-wide roles, each time it runs leaving them as written here. Runs as a role that may create roles.
-- NOINHERIT: a login role has none of its members' rights until SET LOCAL ROLE, which ends with the transaction.
do $$
declare
  spec record;
begin
  for spec in
    select * from (values
      ('app_user',       'login noinherit'),
      ('app_rw',         'nologin'),
      ('app_import',     'nologin'),
      ('app_ro',         'nologin'),
      ('console',        'login noinherit'),
      ('console_tenant', 'nologin'),
      ('console_all',    'nologin'),
      ('console_global', 'nologin'),
      ('skeldir_maint',  'nologin')
    ) as t(name, attributes)
  loop
    if not exists (select from pg_roles where rolname = spec.name) then
      begin
        execute format('create role %I %s', spec.name, spec.attributes);
      exception when duplicate_object or unique_violation then
        null;  -- two set-ups at once on one cluster: the other one made it
      end;
    end if;
  end loop;
end
$$;
do $$
declare
  pair record;
begin
  for pair in
    select * from (values
      ('app_rw', 'app_user'), ('app_import', 'app_user'), ('app_ro', 'app_user'),
      ('console_tenant', 'console'), ('console_all', 'console'), ('console_global', 'console')
    ) as t(granted, member)
  loop
    if not pg_has_role(pair.member, pair.granted, 'member') then
      execute format('grant %I to %I', pair.granted, pair.member);
    end if;
  end loop;
  -- The migration role hands views and partitions over to skeldir_maint, so it must be able to act as it. Since
  -- PostgreSQL 16 whoever creates a role is its member without that right: SET has to be asked for by name.
  if not pg_has_role(current_user, 'skeldir_maint',
                     case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) then
    execute format('grant skeldir_maint to %I', current_user);
  end if;
end
$$;

-- Says how long the tenant's data is kept. By primary key.
select app.set_keep_days(%(days)s::integer)

-- Takes the values of a chord that is complete, in order; nothing while members are missing. Served by the primary key.
with complete as (
  select count(*) = %(size)s as yes from huey.chord_member where chord_id = %(chord_id)s
), taken as (
  delete from huey.chord_member where chord_id = %(chord_id)s and (select yes from complete) returning idx, value
)
select idx, value from taken order by idx

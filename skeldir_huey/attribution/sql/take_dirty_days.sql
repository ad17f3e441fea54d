-- Deletes the tenant's marks of dirty days and gives the ranges [first_day, end_day) to count again, each with the days around it whose paths its events may be part of; but no day whose events were removed. By the primary keys' tenant_id.
with taken as (
  delete from attribution_dirty_days where tenant_id = %(tenant_id)s returning first_day, last_day
)
select lower(days) as first_day, upper(days) as end_day
  from (select unnest(range_agg(daterange(first_day - %(reach_days)s::integer, last_day + %(reach_days)s::integer + 1))
                 * datemultirange(daterange(
                     (select ((events_removed_before + interval '1 day' - interval '1 microsecond')
                              at time zone 'UTC')::date + %(reach_days)s::integer - 1
                        from retention where tenant_id = %(tenant_id)s), null))) as days
          from taken) ranges
 order by 1

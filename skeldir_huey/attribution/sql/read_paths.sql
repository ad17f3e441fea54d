-- The paths of the days [first_day, end_day) with how often each converted and did not, in one order. By primary key.
select path, sum(conversion_count)::bigint as conversion_count, sum(null_count)::bigint as null_count
  from attribution_path_counts
 where tenant_id = %(tenant_id)s and day >= %(first_day)s and day < %(end_day)s
 group by path
 order by path collate "C"

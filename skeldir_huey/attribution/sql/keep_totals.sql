-- Keeps what a repeated run's window had before and after it, to be compared by people. By primary key.
update attribution_recompute_jobs
   set checksum_before = %(checksum_before)s, totals_before = %(totals_before)s, totals_after = %(totals_after)s
 where tenant_id = %(tenant_id)s and id = %(run_id)s

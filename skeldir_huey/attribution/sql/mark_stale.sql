-- Marks the other runs of the version whose window holds a conversion time that changed: counts and checksum are of before. By unique index attribution_recompute_jobs_identity's tenant_id.
update attribution_recompute_jobs r
   set stale_since = clock_timestamp()
  from (select id
          from attribution_recompute_jobs
         where tenant_id = %(tenant_id)s and model_version = %(model_version)s and id <> %(run_id)s
           and checksum is not null and stale_since is null
           and tstzrange(window_start, window_end) && any (%(changed_spans)s::tstzmultirange[])
         order by window_start, window_end
           for no key update) outdated
 where r.tenant_id = %(tenant_id)s and r.id = outdated.id

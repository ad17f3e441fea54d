-- Returns the jobs of each lane by state; reads every job once, which partial indexes by state do not save.
select lane,
       count(*) filter (where state = 'waiting') as waiting,
       count(*) filter (where state = 'scheduled') as scheduled,
       count(*) filter (where state = 'running') as running
  from huey.job
 group by lane

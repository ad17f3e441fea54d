-- Makes scheduled jobs of a lane and of this transaction's tenant due, the first ones first. Served by job_scheduled.
select app.run_scheduled(%(lane)s, %(upto)s, %(most)s) as count

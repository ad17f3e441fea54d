-- Sets how many jobs of a lane run at once; null lifts the cap. Served by the primary key of huey.lane.
update huey.lane set cap = %(cap)s where name = %(lane)s

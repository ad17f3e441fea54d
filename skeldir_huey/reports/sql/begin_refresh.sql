-- Puts a refresh on record as it begins. No index is read.
insert into matview_refresh (view_name, asked_by) values (%(view)s, %(asked_by)s) returning id

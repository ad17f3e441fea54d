-- Notes that a member of a chord ended; a second time changes nothing. Served by the primary key.
insert into huey.chord_member (chord_id, idx, value) values (%(chord_id)s, %(idx)s, %(value)s)
on conflict do nothing

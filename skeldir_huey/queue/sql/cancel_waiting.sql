-- Stores the word that waiting jobs of a lane and of this transaction's tenant are to be cancelled. Served by job_share.
select app.cancel_waiting(%(lane)s, %(upto)s, %(most)s, %(word)s) as count

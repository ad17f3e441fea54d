import time, collections
from tests.queue.test_model import QueueMachine, run, machine, found, Phase, settings, HealthCheck, run_state_machine_as_test
from hypothesis import stateful
C=collections.Counter()
def test_dbg(machine, mutate):
    oldsql=machine.world.sql
    def sql(text, p=None):
        C[text.strip()[:40]]+=1
        return oldsql(text,p)
    machine.world.sql=sql
    st=machine.world.huey.storage
    orun=st.run
    def srun(text,*a,**k):
        C[text.strip()[:40]]+=1
        return orun(text,*a,**k)
    st.run=srun
    oex=machine.world.huey.settle_job
    def settle(job, outcome):
        C[outcome.kind]+=1
        return oex(job,outcome)
    machine.world.huey.settle_job=settle
    run(machine, Phase.generate)
    del st.run, machine.world.huey.settle_job
    for k,v in C.most_common(): print(v,k)

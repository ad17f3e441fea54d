import cProfile, pstats
from tests.queue.test_model import run, machine
def test_dbg(machine):
    p=cProfile.Profile(); p.enable(); run(machine); p.disable()
    pstats.Stats(p).sort_stats("tottime").print_stats(14)
    pstats.Stats(p).sort_stats("cumtime").print_stats("test_model|storage|engine.py|settle|rescue|cron|execution")

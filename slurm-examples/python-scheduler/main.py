"""A scheduler of one's own: several repetitions share each GPU, and the long ones start first."""

import concurrent.futures
import multiprocessing
import os
import time

from cw2 import cluster_work, experiment, scheduler


class Train(experiment.AbstractExperiment):
    """Stands for a training that fills a part of a GPU."""

    def initialize(self, cw_config, rep, logger):
        self.params = cw_config["params"]

    def run(self, cw_config, rep, logger):
        print(f"size {self.params['size']} on GPU {os.environ['CUDA_VISIBLE_DEVICES']}")
        time.sleep(self.params["size"] / 20)
        logger.process({"size": self.params["size"], "gpu": os.environ["CUDA_VISIBLE_DEVICES"]})

    def finalize(self, surrender=None, crash=False):
        pass


class SharedGpus(scheduler.AbstractScheduler):
    """`per_gpu` repetitions on each GPU of the job, the largest first."""

    def __init__(self, per_gpu):
        super().__init__()
        self.per_gpu = per_gpu

    def run(self, overwrite=False):
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "0,1").split(",")
        places = gpus * self.per_gpu
        tasks = [(job, task) for job in self.joblist for task in job.tasks]
        tasks.sort(key=lambda pair: pair[1]["params"]["size"], reverse=True)
        # Processes, not threads: each has an environment of its own, which is what its repetitions get.
        with multiprocessing.Manager() as manager:
            free = manager.Queue()
            for gpu in places:
                free.put(gpu)
            with concurrent.futures.ProcessPoolExecutor(len(places)) as pool:
                for future in [pool.submit(run_on_a_gpu, free, job, task, overwrite) for job, task in tasks]:
                    future.result()


def run_on_a_gpu(free, job, task, overwrite):
    gpu = free.get()
    try:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        job.run_task(task, overwrite)
    finally:
        free.put(gpu)


if __name__ == "__main__":
    cw = cluster_work.ClusterWork(Train)
    cw.run(sch=SharedGpus(per_gpu=2))

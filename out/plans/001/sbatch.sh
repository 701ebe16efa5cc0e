#!/bin/bash
# cw2: jobs 0 to 0 of the plan, for a; submit it with `sbatch`.
#SBATCH --job-name=a
#SBATCH --array=0-0
#SBATCH --chdir=/tmp/w/config
#SBATCH --output=/tmp/w/config/out/plans/001/slurm/%A_%a.log
#SBATCH --open-mode=append

exec /tmp/w/config/target/debug/cw2 worker --plan /tmp/w/config/out/plans/001 --offset 0 --index "$SLURM_ARRAY_TASK_ID"

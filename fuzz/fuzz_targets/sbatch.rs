#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cw2_fuzz::sbatch(data));

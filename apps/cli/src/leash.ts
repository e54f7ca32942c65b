/**
 * Loaded into every program that `up` starts: when `up` is gone, however it went, the program stops in order. Without
 * it, a killed `up` would leave an ingest behind that holds the port, and workers that hold their partitions.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
process.channel?.unref() // it must not keep a program alive that is done

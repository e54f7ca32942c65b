/**
 * Loaded into every program that `up` starts: when `up` has ended in any way, the program stops in order. Otherwise a
 * killed `up` would leave an ingest behind that occupies the port, and workers that keep their partitions.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
process.channel?.unref() // it must not keep a program alive that is done

// The tests measure times, allocations and live tensors of the whole process, so they run one at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

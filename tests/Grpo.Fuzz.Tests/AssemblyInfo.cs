// Times, allocations and live tensors are those of the whole process.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

using System.Globalization;
using Grpo.StressRun;

switch (args)
{
    case ["soak", var folder, var steps]:
        await SoakRun.ExecuteAsync(folder, int.Parse(steps, CultureInfo.InvariantCulture), collects: true);
        return 0;
    case ["watch", var folder, var steps]:
        await SoakRun.ExecuteAsync(folder, int.Parse(steps, CultureInfo.InvariantCulture), collects: false);
        return 0;
    case ["memory", var folder, var room, var maxTokens, var checkpointing]:
        return await MemoryRun.ExecuteAsync(
            folder, long.Parse(room, CultureInfo.InvariantCulture), int.Parse(maxTokens, CultureInfo.InvariantCulture),
            bool.Parse(checkpointing));
    case ["json", var folder]:
        await JsonRun.ExecuteAsync(folder);
        return 0;
    default:
        Console.Error.WriteLine(
            """
            Grpo.StressRun soak <folder> <steps>: trains the embedded model and writes the memory of the process to <folder>/soak.csv.
            Grpo.StressRun watch <folder> <steps>: like soak, but without a garbage collection before each measurement.
            Grpo.StressRun json <folder>: writes and reads every kind of JSON file of the library.
            Grpo.StressRun memory <folder> <bytes> <tokens> <checkpointing>: an update within <bytes> of memory, with at most <tokens>
                per micro-batch. 0 means no limit.
            """);
        return 1;
}

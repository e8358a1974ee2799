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
            folder, long.Parse(room, CultureInfo.InvariantCulture), int.Parse(maxTokens, CultureInfo.InvariantCulture), bool.Parse(checkpointing));
    case ["json", var folder]:
        await JsonRun.ExecuteAsync(folder);
        return 0;
    default:
        Console.Error.WriteLine(
            """
            Grpo.StressRun soak <folder> <steps>: trains the embedded model and writes what the process holds to <folder>/soak.csv.
            Grpo.StressRun watch <folder> <steps>: the same without the collections before each measurement, as a process is seen from outside.
            Grpo.StressRun json <folder>: writes and reads every kind of JSON file of the library.
            Grpo.StressRun memory <folder> <bytes> <tokens> <checkpointing>: an update with so many bytes of memory and micro-batches of so many tokens; 0: no limit.
            """);
        return 1;
}

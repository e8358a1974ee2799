using System.Globalization;
using Grpo.StressRun;

switch (args)
{
    case ["soak", var folder, var steps]:
        await SoakRun.ExecuteAsync(folder, int.Parse(steps, CultureInfo.InvariantCulture));
        return 0;
    default:
        Console.Error.WriteLine("Grpo.StressRun soak <folder> <steps>: trains the embedded model and writes what the process holds to <folder>/soak.csv.");
        return 1;
}

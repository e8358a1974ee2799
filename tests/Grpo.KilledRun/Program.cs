using System.Globalization;
using Grpo.Checkpoints;
using Grpo.KilledRun;

// Grpo.KilledRun hold <folder>: claims a folder of checkpoints and waits to be killed.
if (args is ["hold", var folder])
{
    using IDisposable claim = new DirectoryCheckpointStore(folder).BeginRun();
    Console.WriteLine("held");
    await Task.Delay(Timeout.Infinite);
}

// Grpo.KilledRun <folder> [<place> <visit> [report]]: starts or resumes the run, and dies at the given visit of a place.
using var run = new SmallRun(args[0], args.Length > 1 ? Fuse.At(args[1], int.Parse(args[2], CultureInfo.InvariantCulture)) : null)
{
    HasReport = args is [.., "report"],
};
await run.TrainAsync();

using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using Grpo.Optimization;
using Grpo.Testing;

namespace Grpo.Core.Tests.Optimization;

public sealed class GrpoDiagnosticsTests
{
    [Fact]
    public async Task StepAsync_publishes_its_metrics_and_activities()
    {
        var numbers = new ConcurrentDictionary<string, int>();
        using var meters = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == GrpoDiagnostics.Name)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        meters.SetMeasurementEventCallback<long>((instrument, _, _, _) => numbers.AddOrUpdate(instrument.Name, 1, (_, count) => count + 1));
        meters.SetMeasurementEventCallback<double>(
            (instrument, _, _, _) => numbers.AddOrUpdate(instrument.Name, 1, (_, count) => count + 1));
        meters.Start();
        var activities = new ConcurrentBag<string>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == GrpoDiagnostics.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity => activities.Add(activity.OperationName),
        };
        ActivitySource.AddActivityListener(listener);

        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        await optimizer.StepAsync(Toy.Prompts);

        // Other tests may publish at the same time: at least these must be there.
        Assert.Empty(new[] { "grpo.completion.tokens", "grpo.step.duration", "grpo.reward.mean" }.Except(numbers.Keys));
        Assert.Empty(new[] { "grpo.rollout", "grpo.score", "grpo.update" }.Except(activities));
    }
}
